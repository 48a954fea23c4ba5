//! Who listens to what, and what the listening connection has to do next.
//!
//! Owns: channels, their members, and the clients that wait until the connection hears theirs. Pure:
//! no I/O, no clock. INVARIANT: one batch is under way at most, and a client waits for a batch that
//! began after it had come.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::mailbox::{Mailbox, Pushed};
use super::names::{cut, push_command};
use super::view::Listener;
use super::{Hears, ListenError, note};
use crate::session::state::ListenChange;

/// Most channels of one connection. PostgreSQL walks through all of a session's channels for each
/// LISTEN and each notification.
pub(super) const MAX_CHANNELS: usize = 16_384;
/// Channels in one Query, about: some 20 kB.
const BATCH: usize = 256;

/// What a client waits for.
pub(super) type Answer = Result<(), ListenError>;

/// One channel.
#[derive(Debug, Default)]
struct Channel {
    members: Vec<Arc<Mailbox>>,
    /// Clients that wait until it is heard.
    joining: usize,
    /// The connection has LISTENed to it.
    is_heard: bool,
    /// A LISTEN or UNLISTEN of it is under way.
    is_asked: bool,
    /// It stands in `due`.
    is_due: bool,
}

impl Channel {
    fn is_wanted(&self) -> bool {
        self.joining > 0 || !self.members.is_empty()
    }
}

/// One client.
#[derive(Debug)]
struct Member {
    mailbox: Arc<Mailbox>,
    /// Those it waits for included.
    channels: BTreeSet<Arc<str>>,
}

/// A client that waits for a round trip, and the channels that are its own from then on.
#[derive(Debug)]
struct Join {
    client: u64,
    channels: Vec<Arc<str>>,
    done: oneshot::Sender<Answer>,
}

/// What is under way.
#[derive(Debug, Default)]
struct Flight {
    joins: Vec<Join>,
    listens: Vec<Arc<str>>,
    unlistens: Vec<Arc<str>>,
}

/// Channels and clients of one hub.
#[derive(Debug, Default)]
pub(super) struct Book {
    channels: HashMap<Arc<str>, Channel>,
    members: HashMap<u64, Member>,
    joins: VecDeque<Join>,
    /// Channels whose hearing may have to change.
    due: VecDeque<Arc<str>>,
    flight: Option<Flight>,
    /// The connection is new: members are to be woken when everything is heard again.
    is_restoring: bool,
    /// A task looks after the connection.
    pub(super) is_kept: bool,
    /// The pool is gone.
    pub(super) is_closed: bool,
}

/// What a finished batch leaves to do.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// Clients to wake.
    pub(super) clients: Vec<Arc<Mailbox>>,
    /// Notifications that were dropped since a client did not take them.
    pub(super) dropped: usize,
}

impl Woken {
    fn push(&mut self, mailbox: &Arc<Mailbox>, frame: &Arc<[u8]>) {
        match mailbox.push(frame) {
            Pushed::First => self.clients.push(Arc::clone(mailbox)),
            Pushed::Behind => {}
            Pushed::Dropped(count) => self.dropped += count,
        }
    }

    /// Wakes them. INVARIANT: called without the book's lock.
    pub(super) fn wake(self) {
        for mailbox in self.clients {
            mailbox.slot.wake();
        }
    }
}

impl Book {
    /// A client comes, without channels yet.
    pub(super) fn arrive(&mut self, mailbox: &Arc<Mailbox>) {
        let member = Member {
            mailbox: Arc::clone(mailbox),
            channels: BTreeSet::new(),
        };
        self.members.insert(mailbox.slot.id, member);
    }

    /// A client goes, with everything it listened to.
    pub(super) fn leave(&mut self, client: u64) {
        if let Some(member) = self.members.remove(&client) {
            for channel in member.channels {
                self.part(client, &channel);
            }
        }
    }

    /// What a client's transaction has changed. The receiver: it must wait until that is done; how
    /// many waiting notifications were dropped by UNLISTEN.
    pub(super) fn change(
        &mut self,
        client: u64,
        changes: &[ListenChange],
        most: usize,
    ) -> Result<(Option<oneshot::Receiver<Answer>>, usize), ListenError> {
        if self.is_closed {
            return Err(ListenError::Closed);
        }
        let mut joins: Vec<Arc<str>> = Vec::new();
        let mut dropped = 0;
        for change in changes {
            match change {
                ListenChange::Listen(name) => self.add(client, name, &mut joins),
                ListenChange::Unlisten(name) => {
                    let name = cut(name);
                    joins.retain(|joining| **joining != *name);
                    dropped += self.remove(client, name);
                }
                ListenChange::UnlistenAll => {
                    joins.clear();
                    dropped += self.remove_all(client);
                }
            }
        }
        if joins.is_empty() {
            return Ok((None, dropped));
        }
        self.admit(client, &joins, most)?;
        Ok((Some(self.join(client, joins)), dropped))
    }

    /// Waits for one round trip, after which everything that was committed before is delivered.
    pub(super) fn sync(&mut self, client: u64) -> oneshot::Receiver<Answer> {
        self.join(client, Vec::new())
    }

    fn add(&self, client: u64, name: &str, joins: &mut Vec<Arc<str>>) {
        let name = cut(name);
        let has = |member: &Member| member.channels.contains(name);
        if self.members.get(&client).is_some_and(has) || joins.iter().any(|known| **known == *name)
        {
            return;
        }
        let known = self.channels.get_key_value(name);
        joins.push(known.map_or_else(|| Arc::from(name), |(known, _)| Arc::clone(known)));
    }

    /// The limits.
    fn admit(&self, client: u64, joins: &[Arc<str>], most: usize) -> Result<(), ListenError> {
        let held = self.members.get(&client).map_or(0, |m| m.channels.len());
        if held + joins.len() > most {
            return Err(ListenError::TooManyChannels(most));
        }
        let is_new = |name: &&Arc<str>| !self.channels.contains_key(&***name);
        if self.channels.len() + joins.iter().filter(is_new).count() > MAX_CHANNELS {
            return Err(ListenError::Full);
        }
        Ok(())
    }

    fn join(&mut self, client: u64, channels: Vec<Arc<str>>) -> oneshot::Receiver<Answer> {
        for channel in &channels {
            let entry = self.channels.entry(Arc::clone(channel)).or_default();
            entry.joining += 1;
            if let Some(member) = self.members.get_mut(&client) {
                member.channels.insert(Arc::clone(channel));
            }
        }
        let (done, answer) = oneshot::channel();
        self.joins.push_back(Join {
            client,
            channels,
            done,
        });
        answer
    }

    fn remove(&mut self, client: u64, name: &str) -> usize {
        let Some(member) = self.members.get_mut(&client) else {
            return 0;
        };
        if !member.channels.remove(name) {
            return 0;
        }
        let mailbox = Arc::clone(&member.mailbox);
        self.part(client, name);
        mailbox.forget(Some(name))
    }

    fn remove_all(&mut self, client: u64) -> usize {
        let Some(member) = self.members.get_mut(&client) else {
            return 0;
        };
        let channels = std::mem::take(&mut member.channels);
        let mailbox = Arc::clone(&member.mailbox);
        for channel in channels {
            self.part(client, &channel);
        }
        mailbox.forget(None)
    }

    /// A client no longer listens to a channel.
    fn part(&mut self, client: u64, name: &str) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.members.retain(|member| member.slot.id != client);
        }
        self.look_at(name);
    }

    /// Puts a channel on the list when its hearing has to change, and forgets one that nobody
    /// listens to.
    fn look_at(&mut self, name: &str) {
        let Some((name, _)) = self.channels.get_key_value(name) else {
            return;
        };
        let name = Arc::clone(name);
        let Some(channel) = self.channels.get_mut(&name) else {
            return;
        };
        let is_settled = channel.is_wanted() == channel.is_heard;
        if is_settled && !channel.is_heard && !channel.is_asked && !channel.is_due {
            self.channels.remove(&name);
        } else if !is_settled && !channel.is_due {
            channel.is_due = true;
            self.due.push_back(name);
        }
    }

    /// Whether nobody listens and nobody waits.
    pub(super) fn is_unused(&self) -> bool {
        self.members
            .values()
            .all(|member| member.channels.is_empty())
            && self.joins.is_empty()
    }

    /// SQL that is to be sent next; `None`: nothing is due, or a batch is under way.
    pub(super) fn next_batch(&mut self) -> Option<String> {
        if self.flight.is_some() || (self.joins.is_empty() && self.due.is_empty()) {
            return None;
        }
        let mut flight = Flight::default();
        while flight.listens.len() < BATCH
            && let Some(join) = self.joins.pop_front()
        {
            for name in &join.channels {
                self.ask(name, &mut flight);
            }
            flight.joins.push(join);
        }
        for _ in 0..self.due.len().min(BATCH) {
            let Some(name) = self.due.pop_front() else {
                break;
            };
            if let Some(channel) = self.channels.get_mut(&name) {
                channel.is_due = false;
            }
            self.ask(&name, &mut flight);
            self.look_at_if_gone(&name);
        }
        let mut sql = String::new();
        for name in &flight.listens {
            push_command(&mut sql, "LISTEN", name);
        }
        for name in &flight.unlistens {
            push_command(&mut sql, "UNLISTEN", name);
        }
        self.flight = Some(flight);
        Some(sql)
    }

    /// Adds to the flight what makes the hearing of a channel as it should be.
    fn ask(&mut self, name: &Arc<str>, flight: &mut Flight) {
        let Some(channel) = self.channels.get_mut(name) else {
            return;
        };
        let is_wanted = channel.is_wanted();
        if channel.is_asked || is_wanted == channel.is_heard {
            return;
        }
        channel.is_asked = true;
        if is_wanted {
            flight.listens.push(Arc::clone(name));
        } else {
            flight.unlistens.push(Arc::clone(name));
        }
    }

    fn look_at_if_gone(&mut self, name: &Arc<str>) {
        let is_gone = |channel: &Channel| !channel.is_wanted() && !channel.is_heard;
        if self.channels.get(name).is_some_and(is_gone) {
            self.look_at(name);
        }
    }

    /// The batch under way has been carried out. `pid`: the backend that listens.
    pub(super) fn batch_done(&mut self, pid: i32) -> Woken {
        let mut woken = Woken::default();
        let Some(flight) = self.flight.take() else {
            return woken;
        };
        for (names, is_heard) in [(&flight.listens, true), (&flight.unlistens, false)] {
            for name in names {
                if let Some(channel) = self.channels.get_mut(name) {
                    channel.is_heard = is_heard;
                    channel.is_asked = false;
                }
            }
        }
        if self.is_restoring && self.due.is_empty() {
            self.is_restoring = false;
            self.wake_all(pid, &mut woken);
        }
        for join in flight.joins {
            self.activate(join);
        }
        for name in flight.listens.iter().chain(&flight.unlistens) {
            self.look_at(name);
        }
        woken
    }

    /// A client's channels are its own from now on.
    fn activate(&mut self, join: Join) {
        let member = self.members.get(&join.client);
        for name in &join.channels {
            let Some(channel) = self.channels.get_mut(name) else {
                continue;
            };
            channel.joining -= 1;
            if let Some(member) = member
                && member.channels.contains(name)
                && !channel.members.iter().any(|m| m.slot.id == join.client)
            {
                channel.members.push(Arc::clone(&member.mailbox));
            }
        }
        for name in &join.channels {
            self.look_at(name);
        }
        let _ = join.done.send(Ok(()));
    }

    /// Everybody who waits is told why it is in vain.
    pub(super) fn refuse(&mut self, error: &ListenError) {
        let mut joins: Vec<Join> = self.joins.drain(..).collect();
        if let Some(flight) = &mut self.flight {
            joins.append(&mut flight.joins);
        }
        for join in joins {
            for name in &join.channels {
                if let Some(channel) = self.channels.get_mut(name) {
                    channel.joining -= 1;
                }
                if let Some(member) = self.members.get_mut(&join.client) {
                    member.channels.remove(name);
                }
                self.look_at(name);
            }
            let _ = join.done.send(Err(error.clone()));
        }
    }

    /// A new connection hears nothing yet: everything is to be LISTENed again, and those who waited
    /// for a batch wait for the next.
    pub(super) fn connected(&mut self, is_first: bool) {
        if let Some(flight) = self.flight.take() {
            for join in flight.joins.into_iter().rev() {
                self.joins.push_front(join);
            }
        }
        self.due.clear();
        self.is_restoring = !is_first;
        let names: Vec<Arc<str>> = self.channels.keys().cloned().collect();
        for name in names {
            if let Some(channel) = self.channels.get_mut(&name) {
                channel.is_heard = false;
                channel.is_asked = false;
                channel.is_due = false;
            }
            self.look_at(&name);
        }
    }

    /// Everybody may have missed something: each gets an empty notification on each of its channels.
    fn wake_all(&mut self, pid: i32, woken: &mut Woken) {
        for (name, channel) in &self.channels {
            let frame = note::empty(pid, name);
            for member in &channel.members {
                woken.push(member, &frame);
            }
        }
    }

    /// Gives a notification to those who listen to its channel.
    pub(super) fn deliver(&self, whole: &[u8], woken: &mut Woken) {
        let name = note::channel(whole).and_then(|name| std::str::from_utf8(name).ok());
        let Some(channel) = name.and_then(|name| self.channels.get(name)) else {
            return;
        };
        if channel.members.is_empty() {
            return;
        }
        let frame: Arc<[u8]> = whole.into();
        for member in &channel.members {
            woken.push(member, &frame);
        }
    }

    /// Whether a client gets the notifications of a channel.
    pub(super) fn hears(&self, client: u64, name: &str) -> Hears {
        let member = self.members.get(&client);
        if !member.is_some_and(|member| member.channels.contains(name)) {
            return Hears::No;
        }
        let channel = self.channels.get(name);
        match channel.is_some_and(|it| it.members.iter().any(|m| m.slot.id == client)) {
            true => Hears::Yes,
            false => Hears::Soon,
        }
    }

    /// How many channels a client has.
    pub(super) fn channels_of(&self, client: u64) -> usize {
        self.members.get(&client).map_or(0, |m| m.channels.len())
    }

    /// Clients with channels, and channels.
    pub(super) fn counts(&self) -> (usize, usize) {
        let listens = |member: &&Member| !member.channels.is_empty();
        (
            self.members.values().filter(listens).count(),
            self.channels.len(),
        )
    }

    /// Clients with channels.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        let row = |(client, member): (&u64, &Member)| {
            let (waiting_bytes, waiting) = member.mailbox.waiting();
            Listener {
                client: *client,
                channels: member.channels.iter().map(|c| c.to_string()).collect(),
                waiting,
                waiting_bytes,
                delivered: member.mailbox.delivered(),
                since_us: member.mailbox.since_us,
            }
        };
        let listens = |(_, member): &(&u64, &Member)| !member.channels.is_empty();
        self.members.iter().filter(listens).map(row).collect()
    }
}

#[cfg(test)]
#[path = "book/tests.rs"]
mod tests;
