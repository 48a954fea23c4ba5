//! Statements that we answered without a server: counted like others, with no time.

use super::Insight;
use super::figures::{APPS, AppId};
use super::lane::{GroupKey, NewText, PoolId};
use crate::sql::Summary;

/// A statement that no server saw.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The lane of the client.
    pub lane: usize,
    /// Database and user.
    pub pool: PoolId,
    /// Masked application name.
    pub app: AppId,
    /// The statement.
    pub what: Summary,
    /// Its text.
    pub text: &'a [u8],
    /// Bytes of the request and of the reply, headers included.
    pub bytes: (usize, usize),
    /// Monotonic µs.
    pub now: u64,
}

impl Insight {
    /// Counts a call.
    pub fn answered(&self, answered: Answered<'_>) {
        let Answered { what, now, .. } = answered;
        let mut records = self.recorder(answered.lane).lock();
        if !self.known.has(what.fingerprint)
            && records.push_text(what.fingerprint, NewText::Raw(answered.text.into()))
        {
            self.known.insert(what.fingerprint);
        }
        let key = GroupKey {
            fingerprint: what.fingerprint,
            pool: answered.pool,
        };
        let figures = records.group(key, what.class);
        figures.calls += 1;
        figures.request_bytes += answered.bytes.0 as u64;
        figures.result_bytes += answered.bytes.1 as u64;
        figures.apps.add(answered.app, 1, APPS);
        if figures.first_seen_us == 0 {
            figures.first_seen_us = now;
        }
        figures.last_seen_us = now;
        figures.min_us = 0;
        figures.histogram.add(0, 1);
        records.pool(answered.pool).classes[what.class as usize] += 1;
    }
}
