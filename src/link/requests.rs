//! HOT. Client to server: what each message asks for, and how it is sent.

use super::sql_prepared::Places;
use super::{End, Link};
use crate::error::ClientError;
use crate::net::buf::LARGE;
use crate::server::pending::Request;
use crate::sql::{self, Touches};
use crate::wire::frame::{self, HEADER, Header, Peeked};
use crate::wire::frontend::tag;

impl Link<'_> {
    /// HOT. Looks at everything received from the client and marks what goes to the server.
    pub(super) fn take_requests(&mut self) -> Result<(), End> {
        self.hold.is_held = false;
        loop {
            if self.in_frame > 0 {
                let n = self.in_frame.min(self.client.inbound.unparsed().len());
                if n == 0 {
                    return Ok(());
                }
                self.in_frame -= n;
                self.read_rest(n, self.in_frame == 0);
                self.refuse_long_query()?;
                self.client.inbound.parse(n);
                self.pay_sync();
                continue;
            }
            if self.leaving {
                return Ok(());
            }
            let unparsed = self.client.inbound.unparsed();
            match frame::peek(unparsed, self.client.max_packet) {
                Peeked::Short => return Ok(()),
                Peeked::Bad => {
                    let header = &unparsed[..HEADER.min(unparsed.len())];
                    return Err(End::Fatal(ClientError::bad_header(header)));
                }
                Peeked::Header(header) => {
                    if !self.take_request(header)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// HOT. One message; false when more of it must arrive first.
    fn take_request(&mut self, header: Header) -> Result<bool, End> {
        if self.heal.is_armed() {
            let Some(before) = self.copy_request(header) else {
                return Ok(false);
            };
            let is_taken = self.take_free_request(header)?;
            if !is_taken {
                self.uncopy(before);
            }
            return Ok(is_taken);
        }
        self.take_free_request(header)
    }

    /// HOT. One message that need not wait to see what comes of another.
    fn take_free_request(&mut self, header: Header) -> Result<bool, End> {
        if self.must_wait(header) {
            return Ok(false);
        }
        if self.holds_begin() && header.tag != tag::TERMINATE {
            match self.leave_or_begin(header) {
                None => return Ok(false),
                Some(true) => return Ok(true),
                Some(false) => {}
            }
        }
        self.timing.request(self.client, &mut self.server.tracker);
        match header.tag {
            tag::QUERY if self.client.no_simple_query => {
                return Err(End::Fatal(ClientError::pqexec_disallowed()));
            }
            tag::QUERY => return self.take_query(header),
            tag::SYNC => self.send_final(header, Request::Sync),
            tag::FUNCTION_CALL => {
                self.observe_function_call(header);
                self.ledger.touched |= self.watch.of_interest(Touches::FUNCTION);
                self.send_final(header, Request::FunctionCall);
            }
            tag::EXECUTE => {
                if header.total <= LARGE && !self.has_whole(header) {
                    return Ok(false);
                }
                self.observe_execute(header);
                self.note_execute(header);
                let deed = self.executed_deed(header);
                self.send_extended(header, Request::Execute(deed));
            }
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::CLOSE => {
                return self.take_named(header);
            }
            tag::COPY_DONE | tag::COPY_FAIL => {
                self.observe_copy_end(header);
                self.server.pending.copy_ended();
                self.send(header);
            }
            tag::COPY_DATA | tag::FLUSH => {
                if header.tag == tag::FLUSH {
                    self.answer_synthetics();
                }
                self.observe_bytes(header);
                self.send(header);
            }
            tag::TERMINATE => return self.on_terminate(),
            _ => return Err(End::Fatal(ClientError::unknown_packet())),
        }
        Ok(true)
    }

    /// HOT. A Query; false when it must wait or more of it must arrive first.
    fn take_query(&mut self, header: Header) -> Result<bool, End> {
        let mut places = Places::new();
        if !self.is_plain(header) {
            let Some(found) = self.names_in_query(header)? else {
                return Ok(false);
            };
            places = found;
            self.note_query(header);
        }
        self.end_unnamed();
        let deeds = self.read_query(header);
        let (header, request) = match self.refuse_query(header) {
            Some(refusal) => (refusal, Request::Query(None)),
            None => (self.splice_names(header, places), Request::Query(deeds)),
        };
        self.send_final(header, request);
        Ok(true)
    }

    /// HOT. Whether a Query is here whole and cannot be about prepared statements.
    #[inline]
    fn is_plain(&self, header: Header) -> bool {
        let text = self.client.inbound.unparsed().get(HEADER..header.total);
        text.is_some_and(sql::is_plain)
    }

    /// HOT. Marks a frame as to be sent, as far as it has arrived.
    pub(super) fn send(&mut self, header: Header) {
        let n = header.total.min(self.client.inbound.unparsed().len());
        self.client.inbound.parse(n);
        self.in_frame = header.total - n;
    }

    fn send_final(&mut self, header: Header, request: Request) {
        self.server.pending.push_final(request);
        self.heal.end_batch();
        self.send(header);
    }

    pub(super) fn send_extended(&mut self, header: Header, request: Request) {
        self.server.pending.push_extended(request);
        self.heal.is_dirty = true;
        self.send(header);
    }

    /// Terminate. Requests sent ahead of it are still carried out, as PostgreSQL would; what has no
    /// Sync behind it would be rolled back there.
    fn on_terminate(&mut self) -> Result<bool, End> {
        // Nobody is there to end a COPY.
        if !self.server.pending.awaits_ready() || self.server.pending.in_copy() {
            return Err(End::ClientGone("client close request"));
        }
        self.leaving = true;
        Ok(true)
    }
}
