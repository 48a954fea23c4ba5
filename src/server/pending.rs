//! HOT. Requests that a server has been sent and has not answered.
//!
//! The queue says when a server is free (nothing outstanding), which replies belong to us and not to
//! the client (injected Parse, Close and SET), and where a reply that the server never sends must be
//! put in (ParseComplete of a statement it already had). It follows the protocol's rules for errors
//! (everything up to the next Sync is skipped) and for COPY (a Sync sent into COPY-in is ignored).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::session::deed::{Deed, Deeds};
use crate::session::prepared::{Statement, Unnamed};
use crate::wire::backend::tag;

mod kinds;

pub use kinds::{Answering, Named, Own, Reply, Request, Synthetic, Undo};

/// The queue of one server.
#[derive(Debug, Default)]
pub struct Pending {
    queue: VecDeque<Request>,
    /// Extended messages were sent since the last Sync.
    unsynced: bool,
    /// An error came and its Sync has not been sent: the server ignores everything until then.
    skipping: bool,
    /// The server reads COPY data.
    copy_in: bool,
    /// CopyDone or CopyFail went out before the server said that it reads: a Sync behind it counts.
    copy_ended_early: bool,
    /// Messages were sent while `skipping` that are not in the queue.
    unqueued: bool,
    /// Commands of the Query being answered that have completed.
    completed: u32,
    /// A Sync went into COPY-in: whether it will be answered cannot be known.
    uncertain: bool,
}

impl Pending {
    /// HOT. Nothing is outstanding and nothing is half asked.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.queue.is_empty() && !self.unsynced && !self.copy_in && !self.skipping
    }

    /// Nothing to wait for, though a Sync may be missing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing is outstanding but answers of ours.
    pub fn awaits_nothing(&self) -> bool {
        let mut queue = self.queue.iter();
        queue.all(|request| matches!(request, Request::SkippedParse(_) | Request::SkippedClose(_)))
    }

    /// HOT. How many requests are outstanding.
    #[inline]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// HOT. Whose answer comes next.
    #[inline]
    pub fn answering(&self) -> Answering {
        match self.queue.front() {
            None => Answering::Nothing,
            Some(Request::Query(_) | Request::FunctionCall) => Answering::Query,
            Some(Request::Execute(_)) => Answering::Execute,
            Some(Request::Sync) => Answering::Sync,
            Some(
                Request::Own(_)
                | Request::OwnDescribe(_)
                | Request::Begin
                | Request::BeginSync
                | Request::OwnSync,
            ) => Answering::Ours,
            Some(_) => Answering::Step,
        }
    }

    /// What runs something and would be taken along by an error now: Executes, and Queries and
    /// FunctionCalls.
    pub fn runs_to_sync(&self) -> (usize, usize) {
        let failing = self.queue.iter();
        let failing = failing.take_while(|request| {
            !matches!(
                request,
                Request::Sync | Request::OwnSync | Request::BeginSync
            )
        });
        failing.fold((0, 0), |(executes, others), request| match request {
            Request::Execute(_) => (executes + 1, others),
            Request::Query(_) | Request::FunctionCall => (executes, others + 1),
            _ => (executes, others),
        })
    }

    /// Extended messages were sent since the last Sync: without a Flush the server may keep their
    /// answers.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// The server's state cannot be derived any more; it must not be reused.
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    /// The server is reading COPY data.
    pub fn in_copy(&self) -> bool {
        self.copy_in
    }

    /// The server ignores what is sent until Sync.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// The Query of our own that is being answered.
    #[inline]
    pub fn own(&self) -> Option<Own> {
        match self.queue.front() {
            Some(Request::Own(own)) => Some(*own),
            _ => None,
        }
    }

    /// What we have put in front of the client's request is being answered.
    pub fn is_injected(&self) -> bool {
        matches!(
            self.queue.front(),
            Some(
                Request::InjectedParse(_)
                    | Request::InjectedPrepare(_)
                    | Request::InjectedUnnamed
                    | Request::InjectedForget
                    | Request::InjectedClose(_)
            )
        )
    }

    /// HOT. Whether a question of ours is outstanding.
    #[inline]
    pub fn asks(&self, what: Own) -> bool {
        let mut queue = self.queue.iter();
        queue.any(|request| matches!(request, Request::Own(own) if *own == what))
    }

    /// The held BEGIN is being answered.
    pub fn begins(&self) -> bool {
        matches!(self.queue.front(), Some(Request::Begin))
    }

    /// The held BEGIN is being answered, and the client has asked for nothing yet.
    pub fn only_begins(&self) -> bool {
        self.begins()
            && self
                .queue
                .iter()
                .any(|request| matches!(request, Request::BeginSync))
    }

    /// HOT. A message that ends with ReadyForQuery was sent.
    #[inline]
    pub fn push_final(&mut self, request: Request) {
        if matches!(
            request,
            Request::Sync | Request::OwnSync | Request::BeginSync
        ) {
            self.unsynced = false;
            self.skipping = false;
            self.unqueued = false;
            if self.copy_in {
                self.uncertain = true;
                return;
            }
        } else if self.skipping {
            self.unqueued = true;
            return;
        }
        self.queue.push_back(request);
    }

    /// A message of the extended protocol was sent (or answered by us).
    #[inline]
    pub fn push_extended(&mut self, request: Request) {
        self.unsynced = true;
        if self.skipping {
            self.unqueued = true;
        } else {
            self.queue.push_back(request);
        }
    }

    /// CopyDone or CopyFail was sent.
    pub fn copy_ended(&mut self) {
        self.copy_ended_early = !self.copy_in && !self.queue.is_empty();
        self.copy_in = false;
    }

    /// Whether a ReadyForQuery is still to come for what was sent.
    pub fn awaits_ready(&self) -> bool {
        self.queue.iter().any(|request| {
            matches!(
                request,
                Request::Query(_)
                    | Request::FunctionCall
                    | Request::Sync
                    | Request::Own(_)
                    | Request::OwnSync
                    | Request::BeginSync
            )
        })
    }

    /// What the text of the Query sent last amounts to; it has come in pieces.
    pub fn set_deeds(&mut self, deeds: Deeds) {
        if let Some(Request::Query(known)) = self.queue.back_mut() {
            *known = (!deeds.is_empty()).then(|| Box::new(deeds));
        }
    }

    /// HOT. What the statement has done that completes now; asked before `on_reply`.
    #[inline]
    pub fn deed(&self) -> Option<&Arc<Deed>> {
        match self.queue.front()? {
            Request::Query(Some(deeds)) => {
                let mut found = deeds.iter().filter(|(nth, _)| *nth == self.completed);
                found.next().map(|(_, deed)| deed)
            }
            Request::Execute(deed) => deed.as_ref(),
            _ => None,
        }
    }

    /// Whether anything of the client's own is outstanding.
    pub fn awaits_client(&self) -> bool {
        let mut queue = self.queue.iter();
        queue.any(|request| !matches!(request, Request::Own(_)))
    }

    /// HOT. Whether a Describe of ours is being answered.
    #[inline]
    pub fn describes_for_us(&self) -> bool {
        matches!(self.queue.front(), Some(Request::OwnDescribe(_)))
    }

    /// The statement of the Describe of ours that is answered now, and no more behind this.
    pub fn described(&mut self) -> Option<Arc<Statement>> {
        if !self.describes_for_us() {
            return None;
        }
        match self.queue.pop_front() {
            Some(Request::OwnDescribe(statement)) => Some(statement),
            _ => None,
        }
    }

    /// Whether a message that cannot work is being answered: the error about it is ours.
    pub fn is_refused(&self) -> bool {
        matches!(self.queue.front(), Some(Request::Refused))
    }

    /// What was sent behind the request that is being answered, in order.
    pub fn behind_first(&self) -> impl Iterator<Item = &Request> {
        self.queue.iter().skip(1)
    }

    /// HOT. A reply arrived (not ReadyForQuery, ErrorResponse or an asynchronous message).
    #[inline]
    pub fn on_reply(&mut self, kind: u8) -> Reply {
        let Some(head) = self.queue.front() else {
            return Reply::Forward;
        };
        let (pops, verdict) = match (kind, head) {
            (kind, Request::InjectedPrepare(_)) => (kind == tag::COMMAND_COMPLETE, Reply::Swallow),
            (tag::COMMAND_COMPLETE | tag::EMPTY_QUERY, Request::Query(_)) => {
                self.completed += 1;
                (false, Reply::Forward)
            }
            (_, Request::Own(_)) => (false, Reply::Swallow),
            (kind, Request::Begin) => (kind == tag::COMMAND_COMPLETE, Reply::Swallow),
            (tag::PARSE_COMPLETE, Request::Parse(_) | Request::UnnamedParse(_)) => {
                (true, Reply::Forward)
            }
            (tag::PARSE_COMPLETE, Request::InjectedParse(_) | Request::InjectedUnnamed) => {
                (true, Reply::Swallow)
            }
            (kind, Request::OwnDescribe(_)) => (kind != tag::PARAMETER_DESCRIPTION, Reply::Swallow),
            (tag::BIND_COMPLETE, Request::Bind | Request::HealedBind) => (true, Reply::Forward),
            (tag::CLOSE_COMPLETE, Request::Close) => (true, Reply::Forward),
            (tag::CLOSE_COMPLETE, Request::InjectedClose(_) | Request::InjectedForget) => {
                (true, Reply::Swallow)
            }
            (tag::ROW_DESCRIPTION | tag::NO_DATA, Request::Describe | Request::HealedDescribe) => {
                (true, Reply::Forward)
            }
            (
                tag::COMMAND_COMPLETE | tag::EMPTY_QUERY | tag::PORTAL_SUSPENDED,
                Request::Execute(_),
            ) => (true, Reply::Forward),
            (tag::COPY_IN, _) => {
                self.enter_copy();
                (false, Reply::Forward)
            }
            _ => (false, Reply::Forward),
        };
        if pops {
            self.queue.pop_front();
        }
        verdict
    }

    /// In COPY-in PostgreSQL ignores Sync: those sent ahead are never answered.
    fn enter_copy(&mut self) {
        if std::mem::take(&mut self.copy_ended_early) {
            return;
        }
        self.copy_in = true;
        let is_extended = matches!(self.queue.front(), Some(Request::Execute(_)));
        while matches!(self.queue.get(1), Some(Request::Sync)) {
            self.queue.remove(1);
            self.unsynced |= is_extended;
        }
    }

    /// HOT. ReadyForQuery arrived: what it answers, `None` when nothing was outstanding.
    #[inline]
    pub fn on_ready(&mut self) -> Option<Request> {
        self.copy_in = false;
        self.completed = 0;
        self.copy_ended_early = false;
        let answered = match self.queue.front() {
            Some(
                Request::Query(_)
                | Request::FunctionCall
                | Request::Sync
                | Request::Own(_)
                | Request::OwnSync
                | Request::BeginSync,
            ) => self.queue.pop_front(),
            _ => None,
        };
        // Whatever was sent later would be in the queue: the server has read all and waits for more.
        if self.queue.is_empty() && !self.unqueued {
            self.unsynced = false;
            self.skipping = false;
        }
        answered
    }

    /// ErrorResponse arrived. An extended request fails with everything behind it up to Sync; what
    /// that takes back comes last step first, so that later ones of the same name give way.
    pub fn on_error(&mut self) -> Vec<Undo> {
        self.copy_in = false;
        let mut undone = Vec::new();
        match self.queue.front() {
            None => {
                // An error after Flush, with its request answered: the rest up to Sync is skipped.
                self.skipping = self.unsynced;
                return undone;
            }
            Some(
                Request::Query(_)
                | Request::FunctionCall
                | Request::Sync
                | Request::Own(_)
                | Request::OwnSync
                | Request::BeginSync,
            ) => return undone,
            Some(_) => self.fail_unnamed(),
        }
        while let Some(request) = self.queue.front() {
            if matches!(
                request,
                Request::Sync | Request::OwnSync | Request::BeginSync
            ) {
                undone.reverse();
                return undone;
            }
            match self.queue.pop_front() {
                Some(Request::Parse(Some(named)) | Request::InjectedParse(named)) => {
                    undone.push(Undo::Parse(*named));
                }
                Some(Request::SkippedParse(named)) => undone.push(Undo::SkippedParse(*named)),
                Some(Request::SkippedClose(Some(named))) => undone.push(Undo::Close(*named)),
                Some(Request::InjectedClose(statement)) => undone.push(Undo::Eviction(statement)),
                Some(Request::InjectedPrepare(named)) => {
                    undone.push(Undo::ServerUnnamed);
                    undone.extend(named.map(|named| Undo::Parse(*named)));
                }
                Some(Request::UnnamedParse(was)) => undone.push(Undo::Unnamed(was)),
                Some(Request::InjectedUnnamed | Request::InjectedForget) => {
                    undone.push(Undo::ServerUnnamed);
                }
                _ => {}
            }
        }
        self.skipping = true;
        undone.reverse();
        undone
    }

    /// The first request has failed. A Parse of the unnamed statement ends the one before it.
    fn fail_unnamed(&mut self) {
        match self.queue.front_mut() {
            Some(Request::UnnamedParse(was)) => *was = Unnamed::None,
            Some(Request::Parse(Some(named))) => {
                if let Some(was) = &mut named.unnamed {
                    *was = Unnamed::None;
                }
            }
            _ => {}
        }
    }

    /// A step has failed before which the unnamed statement was this one; `None`: what was sent behind
    /// it has changed the unnamed statement since.
    pub fn unnamed_before(&mut self, was: Unnamed) -> Option<Unnamed> {
        for request in &mut self.queue {
            match request {
                Request::UnnamedParse(before) => {
                    *before = was;
                    return None;
                }
                Request::Query(_) => return None,
                _ => {}
            }
        }
        Some(was)
    }

    /// Whether the request that is being answered may be healed.
    #[inline]
    pub fn is_healable(&self) -> bool {
        let front = self.queue.front();
        matches!(front, Some(Request::HealedBind | Request::HealedDescribe))
    }

    /// Whether a request that may be healed is outstanding.
    pub fn holds_healable(&self) -> bool {
        let mut queue = self.queue.iter();
        queue.any(|request| matches!(request, Request::HealedBind | Request::HealedDescribe))
    }

    /// The client's Sync (or the Query that failed) that comes next is taken for one of ours; false when it was not sent yet.
    pub fn take_sync(&mut self) -> bool {
        match self.queue.front_mut() {
            Some(request @ (Request::Sync | Request::Query(_))) => {
                *request = Request::OwnSync;
                true
            }
            _ => false,
        }
    }

    /// HOT. Whether the next thing the client must hear comes from us.
    #[inline]
    pub fn owes_synthetic(&self) -> bool {
        matches!(
            self.queue.front(),
            Some(Request::SkippedParse(_) | Request::SkippedClose(_))
        )
    }

    /// HOT. The next answer that we owe the client at this point of the stream.
    #[inline]
    pub fn take_synthetic(&mut self) -> Option<Synthetic> {
        let answer = match self.queue.front()? {
            Request::SkippedParse(_) => Synthetic::ParseComplete,
            Request::SkippedClose(_) => Synthetic::CloseComplete,
            _ => return None,
        };
        self.queue.pop_front();
        Some(answer)
    }

    /// Forgets everything; for a server that starts over after a reset.
    pub fn clear(&mut self) {
        *self = Self {
            queue: std::mem::take(&mut self.queue),
            ..Self::default()
        };
        self.queue.clear();
    }
}

#[cfg(test)]
mod tests;
