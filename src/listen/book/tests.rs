#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::net::Endpoint;
use crate::stats::Registry;

const MOST: usize = 100;

struct World {
    book: Book,
    registry: Registry,
}

impl World {
    fn empty() -> Self {
        let mut book = Book::default();
        book.connected(true);
        Self {
            book,
            registry: Registry::default(),
        }
    }

    fn client(&mut self) -> Arc<Mailbox> {
        let end = Endpoint::Unix { pid: None, port: 0 };
        let slot = self.registry.add_client(end, end, 0);
        let mailbox = Mailbox::with_limit(slot, 400);
        self.book.arrive(&mailbox);
        mailbox
    }

    fn change(
        &mut self,
        who: &Arc<Mailbox>,
        changes: &[ListenChange],
    ) -> Option<oneshot::Receiver<Answer>> {
        self.book.change(who.slot.id, changes, MOST).unwrap().0
    }

    fn listen(&mut self, who: &Arc<Mailbox>, name: &str) {
        let mut answer = self.change(who, &[on(name)]).unwrap();
        self.settle();
        assert_eq!(answer.try_recv().unwrap(), Ok(()));
    }

    /// Carries out all that is due; the SQL.
    fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(sql) = self.book.next_batch() {
            all.push(sql);
            let _ = self.book.batch_done(9);
        }
        all
    }

    fn notify(&mut self, name: &str, payload: &str) -> Woken {
        let mut woken = Woken::default();
        self.book.deliver(&frame(name, payload), &mut woken);
        woken
    }
}

fn frame(name: &str, payload: &str) -> Vec<u8> {
    let mut body = 7i32.to_be_bytes().to_vec();
    body.extend_from_slice(name.as_bytes());
    body.push(0);
    body.extend_from_slice(payload.as_bytes());
    body.push(0);
    let mut out = Vec::new();
    crate::wire::frame::put(&mut out, b'A', &body);
    out
}

fn on(name: &str) -> ListenChange {
    ListenChange::Listen(name.into())
}

fn off(name: &str) -> ListenChange {
    ListenChange::Unlisten(name.into())
}

fn mail(of: &Mailbox) -> Vec<u8> {
    let mut out = Vec::new();
    of.take(&mut out, 1_000_000);
    out
}

#[test]
fn one_listen_serves_all_clients_of_a_channel() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.change(&one, &[on("a"), on("b")]);
    world.change(&two, &[on("a")]);
    assert_eq!(world.settle(), ["LISTEN \"a\";LISTEN \"b\";"]);
    let woken = world.notify("a", "x");
    assert_eq!(woken.clients.len(), 2);
    assert_eq!(mail(&one), frame("a", "x"));
    assert_eq!(mail(&two), frame("a", "x"));
    assert!(world.notify("b", "y").clients.len() == 1 && !two.has_mail());
}

#[test]
fn names_are_quoted_and_cut_as_postgresql_cuts_them() {
    let mut world = World::empty();
    let one = world.client();
    let long = "\u{e9}".repeat(40);
    world.change(&one, &[on("a\"b"), on(&long)]);
    let cut = "\u{e9}".repeat(31);
    assert_eq!(
        world.settle(),
        [format!("LISTEN \"a\"\"b\";LISTEN \"{cut}\";")]
    );
    assert_eq!(world.notify(&cut, "").clients.len(), 1);
}

#[test]
fn a_client_hears_nothing_before_its_round_trip_is_over() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.listen(&one, "a");
    let mut answer = world.change(&two, &[on("a")]).unwrap();
    assert_eq!(world.book.next_batch().unwrap(), "");
    world.notify("a", "before");
    assert!(answer.try_recv().is_err());
    let _ = world.book.batch_done(9);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
    world.notify("a", "after");
    assert_eq!(mail(&two), frame("a", "after"));
    assert_eq!(
        mail(&one),
        [frame("a", "before"), frame("a", "after")].concat()
    );
}

#[test]
fn a_batch_under_way_does_not_answer_who_came_later() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.change(&one, &[on("a")]);
    assert!(world.book.next_batch().is_some());
    let mut late = world.book.sync(two.slot.id);
    assert_eq!(world.book.next_batch(), None);
    let _ = world.book.batch_done(9);
    assert!(late.try_recv().is_err());
    world.settle();
    assert_eq!(late.try_recv().unwrap(), Ok(()));
}

#[test]
fn the_last_listener_takes_its_channel_along() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.listen(&one, "a");
    world.listen(&two, "a");
    world.change(&one, &[off("a")]);
    assert_eq!(world.settle(), [] as [&str; 0]);
    world.book.leave(two.slot.id);
    assert_eq!(world.settle(), ["UNLISTEN \"a\";"]);
    assert_eq!(world.book.counts(), (0, 0));
    assert!(world.book.is_unused());
}

#[test]
fn what_came_before_an_unlisten_is_dropped_for_that_channel_only() {
    let mut world = World::empty();
    let one = world.client();
    world.listen(&one, "a");
    world.listen(&one, "b");
    world.notify("a", "1");
    world.notify("b", "2");
    let id = one.slot.id;
    let (_, dropped) = world.book.change(id, &[off("a")], MOST).unwrap();
    assert_eq!(dropped, 1);
    assert_eq!(mail(&one), frame("b", "2"));
    let all = [ListenChange::UnlistenAll];
    let (_, dropped) = world.book.change(id, &all, MOST).unwrap();
    assert_eq!(dropped, 0);
    assert_eq!(world.settle(), ["UNLISTEN \"a\";UNLISTEN \"b\";"]);
}

#[test]
fn changes_of_one_transaction_hold_in_their_order() {
    let mut world = World::empty();
    let one = world.client();
    world.change(
        &one,
        &[on("a"), ListenChange::UnlistenAll, on("b"), on("b")],
    );
    assert_eq!(world.settle(), ["LISTEN \"b\";"]);
    assert_eq!(world.book.channels_of(one.slot.id), 1);
    assert!(world.change(&one, &[on("b"), off("zzz")]).is_none());
}

#[test]
fn unlisten_while_the_listen_is_under_way_ends_it_afterwards() {
    let mut world = World::empty();
    let one = world.client();
    world.change(&one, &[on("a")]);
    assert_eq!(world.book.next_batch().unwrap(), "LISTEN \"a\";");
    world.change(&one, &[off("a")]);
    let _ = world.book.batch_done(9);
    assert_eq!(world.settle(), ["UNLISTEN \"a\";"]);
    world.notify("a", "x");
    assert!(!one.has_mail());
    assert_eq!(world.book.counts(), (0, 0));
}

#[test]
fn listen_while_the_unlisten_is_under_way_is_heard_again() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.listen(&one, "a");
    world.change(&one, &[off("a")]);
    assert_eq!(world.book.next_batch().unwrap(), "UNLISTEN \"a\";");
    let mut answer = world.change(&two, &[on("a")]).unwrap();
    let _ = world.book.batch_done(9);
    assert!(answer.try_recv().is_err());
    assert_eq!(world.settle(), ["LISTEN \"a\";"]);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
}

#[test]
fn after_a_loss_all_is_listened_to_again_and_everybody_is_woken_once() {
    let mut world = World::empty();
    let (one, two) = (world.client(), world.client());
    world.listen(&one, "a");
    world.listen(&two, "b");
    let mut waiting = world.change(&two, &[on("c")]).unwrap();
    assert!(world.book.next_batch().is_some());
    world.book.connected(false);
    let mut names = world.settle().concat();
    for name in ["LISTEN \"a\";", "LISTEN \"b\";", "LISTEN \"c\";"] {
        assert!(names.contains(name), "{names}");
        names = names.replace(name, "");
    }
    assert_eq!(names, "");
    assert_eq!(waiting.try_recv().unwrap(), Ok(()));
    assert_eq!(mail(&one), *note::empty(9, "a"));
    assert_eq!(mail(&two), *note::empty(9, "b"));
    world.settle();
    assert!(!one.has_mail() && !two.has_mail());
}

#[test]
fn who_waits_in_vain_is_told_and_listens_to_nothing() {
    let mut world = World::empty();
    let one = world.client();
    let mut answer = world.change(&one, &[on("a")]).unwrap();
    assert!(world.book.next_batch().is_some());
    let error = ListenError::Refused("no".to_owned());
    world.book.refuse(&error);
    assert_eq!(answer.try_recv().unwrap(), Err(error));
    assert!(world.book.is_unused());
    world.book.connected(false);
    assert_eq!(world.settle(), [] as [&str; 0]);
    assert_eq!(world.book.counts(), (0, 0));
}

#[test]
fn limits_refuse_and_change_nothing() {
    let mut world = World::empty();
    let one = world.client();
    let names: Vec<_> = (0..=MOST).map(|n| on(&n.to_string())).collect();
    let refused = world.book.change(one.slot.id, &names, MOST);
    assert_eq!(refused.unwrap_err(), ListenError::TooManyChannels(MOST));
    assert_eq!(world.settle(), [] as [&str; 0]);
    world.change(&one, &names[..MOST]).unwrap();
    let sql = world.settle();
    assert_eq!(sql.concat().matches("LISTEN").count(), MOST);
}

#[test]
fn a_storm_goes_out_in_batches() {
    let mut world = World::empty();
    for client in 0..20 {
        let who = world.client();
        let names: Vec<_> = (0..50).map(|n| on(&format!("c{client}_{n}"))).collect();
        world.change(&who, &names).unwrap();
    }
    let sql = world.settle();
    assert!(sql.len() > 1);
    let counts = sql.iter().map(|sql| sql.matches("LISTEN").count());
    assert!(counts.max().unwrap() < BATCH + 50);
    assert_eq!(world.book.counts(), (20, 1000));
}

#[test]
fn who_does_not_take_its_notifications_is_ordered_to_close() {
    let mut world = World::empty();
    let (deaf, other) = (world.client(), world.client());
    world.listen(&deaf, "a");
    world.listen(&other, "a");
    let mut dropped = 0;
    for n in 0..100 {
        dropped += world.notify("a", &n.to_string()).dropped;
        assert_eq!(mail(&other), frame("a", &n.to_string()));
    }
    assert_eq!(dropped, 100);
    assert!(deaf.slot.has_order() && !other.slot.has_order());
    assert_eq!(deaf.waiting(), (0, 0));
}

#[test]
fn mail_is_taken_in_whole_frames_and_wakes_once() {
    let mut world = World::empty();
    let one = world.client();
    world.listen(&one, "a");
    assert_eq!(world.notify("a", "1").clients.len(), 1);
    assert_eq!(world.notify("a", "2").clients.len(), 0);
    let size = frame("a", "1").len();
    let mut out = Vec::new();
    assert_eq!(one.take(&mut out, size), 1);
    assert!(one.has_mail());
    assert_eq!(one.take(&mut out, 2 * size), 1);
    assert!(!one.has_mail());
    assert_eq!(out, [frame("a", "1"), frame("a", "2")].concat());
    assert_eq!(world.notify("a", "3").clients.len(), 1);
    assert_eq!(one.delivered(), 2);
}
