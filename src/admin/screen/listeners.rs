//! SHOW LISTENERS: clients that listen through the pooler's own listening connections, whoever has
//! most waiting first.

use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::stats::clock::now_us;

/// Channels named in a row; the column `channels` counts them all.
const NAMED: usize = 8;

pub const COLUMNS: &[Column] = head![
    id Q, database T, user T, channels Q, names T, waiting Q, waiting_bytes Q, delivered Q, since_s F,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let (options, now) = (context.options, now_us());
    let is = |wanted: &Option<String>, name: &str| {
        let wanted = wanted.as_deref();
        wanted.is_none_or(|wanted| wanted == name)
    };
    let mut rows = Rows::new();
    let (mut connections, mut channels) = (0, 0);
    for pool in context.directory.shared.pools() {
        let (database, user) = (&*pool.database.name, &*pool.user);
        if !is(&options.database, database) || !is(&options.user, user) {
            continue;
        }
        for hub in pool.hubs() {
            let figures = hub.figures();
            connections += figures.connections;
            channels += figures.channels;
            for listener in hub.listeners() {
                let mut names = listener.channels;
                let count = names.len();
                names.truncate(NAMED);
                let more = if count > NAMED { ", ..." } else { "" };
                rows.push(vec![
                    Cell::from(listener.client),
                    Cell::from(database),
                    Cell::from(user),
                    Cell::from(count as u64),
                    Cell::from(names.join(", ") + more),
                    Cell::from(listener.waiting as u64),
                    Cell::from(listener.waiting_bytes as u64),
                    Cell::from(listener.delivered),
                    Cell::seconds(now.saturating_sub(listener.since_us)),
                ]);
            }
        }
    }
    let notice = format!(
        "{} listening, {channels} channels, {connections} listening connections",
        rows.len()
    );
    (rows, notice)
}
