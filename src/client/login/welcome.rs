//! The end of a login: parameters, cancel key, ReadyForQuery, in one write.
//!
//! Owns: their order and the wait for a pool's first server. Never: looks into a pool.
//! Source: surface 6.1 (5), 6.5 (key), 3.1 (console's parameters).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::enter::Entered;
use super::gate::{Gate, Live, Reported, Target, Who};
use super::parameters::Wishes;
use super::{EOF, End, Login, Welcomed};
use crate::auth::scram::CapturedKeys;
use crate::error::ClientError;
use crate::wire::backend::Status;
use crate::wire::version::SERVER_VERSION;
use crate::wire::welcome as messages;

/// What the console reports; monitoring reads `server_version`.
const CONSOLE_PARAMETERS: [(&str, &str); 7] = [
    ("server_version", SERVER_VERSION),
    ("client_encoding", "UTF8"),
    ("server_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("TimeZone", "GMT"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "on"),
];

impl<G: Gate> Login<G> {
    /// The last step, after the password.
    pub(super) async fn welcome(
        &mut self,
        entered: Entered<G::Database>,
        wishes: Wishes,
        captured: Option<CapturedKeys>,
    ) -> Result<Welcomed<G>, End> {
        let Entered { who, target, .. } = entered;
        let reported = match &target {
            Target::Console(_) => None,
            Target::Database(database) => {
                self.gate.check_enabled(database)?;
                if let Some(keys) = captured {
                    self.gate.keep_keys(&who.user, keys);
                }
                Some(self.first_server(database, &who.user).await?)
            }
            Target::Unknown => return Err(self.no_such_database(&who)),
        };
        messages::authentication_ok(&mut self.out);
        match reported.as_deref() {
            Some(reported) => self.put_parameters(reported, &wishes),
            None => self.put_console_parameters(),
        }
        let cancel_key = self.new_cancel_key()?;
        messages::backend_key_data(&mut self.out, cancel_key);
        let live = self.gate.live();
        let notice = &live.config().settings.login_notify_message;
        if !notice.is_empty() {
            messages::notice_response(&mut self.out, notice);
        }
        messages::ready_for_query(&mut self.out, Status::Idle);
        self.flush().await?;
        Ok(Welcomed {
            who,
            target,
            parameters: wishes.tracked,
            settings: wishes.settings,
            reported,
            cancel_key,
        })
    }

    fn no_such_database(&self, who: &Who) -> End {
        self.log_failed(&self.gate.live().config().settings, who);
        ClientError::no_such_database(&who.database).into()
    }

    /// Waits for the pool's welcome, and watches the client meanwhile.
    async fn first_server(
        &mut self,
        database: &G::Database,
        user: &Arc<str>,
    ) -> Result<Arc<G::Reported>, End> {
        self.is_waiting = true;
        let stream = self.stream.as_mut().ok_or(End::Gone(EOF))?;
        let input = &mut self.input;
        let mut waiting = pin!(self.gate.welcome(database, user));
        let reported = poll_fn(|cx| {
            if let Poll::Ready(result) = waiting.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(End::Refuse));
            }
            input.poll_gone(cx, stream).map(|()| Err(End::Gone(EOF)))
        })
        .await?;
        self.is_waiting = false;
        Ok(reported)
    }

    fn put_parameters(&mut self, reported: &G::Reported, wishes: &Wishes) {
        for (name, value) in reported.untracked() {
            let mut wished = wishes.settings.iter().rev();
            let wish = wished.find(|(wished, _)| wished.eq_ignore_ascii_case(name));
            let value = wish.map_or(value, |(_, wish)| wish.as_str());
            messages::parameter_status(&mut self.out, name.as_bytes(), value.as_bytes());
        }
        for (index, name) in self.gate.tracked_names().enumerate() {
            let wish = wishes.tracked.iter().find(|(wished, _)| wished == name);
            let value = match wish {
                Some((_, value)) => Some(value.as_str()),
                None => reported.tracked(index),
            };
            if let Some(value) = value {
                messages::parameter_status(&mut self.out, name.as_bytes(), value.as_bytes());
            }
        }
    }

    fn put_console_parameters(&mut self) {
        for (name, value) in CONSOLE_PARAMETERS {
            messages::parameter_status(&mut self.out, name.as_bytes(), value.as_bytes());
        }
    }

    fn new_cancel_key(&mut self) -> Result<u64, End> {
        let peer_id = self.gate.live().config().settings.peer_id;
        loop {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(|_| ClientError::bouncer_config())?;
            let key = shape_cancel_key(bytes, peer_id);
            if self.gate.register_cancel_key(key) {
                return Ok(key);
            }
        }
    }
}

/// COMPAT: the process id half is not negative; with a peer id, bytes 1 and 2 carry it (little
/// endian) and the low bits of the last byte how many peers may pass the request on (surface 6.5).
fn shape_cancel_key(mut bytes: [u8; 8], peer_id: u32) -> u64 {
    bytes[0] &= 0x7f;
    if peer_id > 0 {
        let [low, high, ..] = peer_id.to_le_bytes();
        bytes[1] = low;
        bytes[2] = high;
        bytes[7] |= 3;
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::shape_cancel_key;

    #[test]
    fn cancel_keys_have_no_sign_and_room_for_a_peer() {
        assert_eq!(shape_cancel_key([0xff; 8], 0), 0x7fff_ffff_ffff_ffff);
        let with_peer = shape_cancel_key([0; 8], 0x1234).to_be_bytes();
        assert_eq!(with_peer, [0, 0x34, 0x12, 0, 0, 0, 0, 3]);
    }
}
