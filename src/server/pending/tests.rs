//! The queue against the protocol's rules for errors, COPY and pipelines.

use super::*;
use crate::session::prepared::Dictionary;

fn named() -> Box<Named> {
    Box::new(Named {
        unnamed: None,
        client_name: Some(b"s"[..].into()),
        statement: Dictionary::default().intern(b"select 1\0\0\0", 0, crate::sql::Rules::default()),
    })
}

#[test]
fn a_server_is_free_only_when_every_request_is_answered() {
    let mut pending = Pending::default();
    pending.push_final(Request::Query(None));
    pending.push_final(Request::Query(None));
    assert!(!pending.is_done());
    pending.on_ready();
    assert!(!pending.is_done());
    pending.on_ready();
    assert!(pending.is_done());
}

#[test]
fn an_extended_message_without_sync_keeps_the_server() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Parse(None));
    pending.on_reply(tag::PARSE_COMPLETE);
    assert!(pending.is_empty() && !pending.is_done());
    pending.push_final(Request::Sync);
    pending.on_ready();
    assert!(pending.is_done());
}

#[test]
fn an_error_skips_to_the_next_sync_and_undoes_parses() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Bind);
    pending.push_extended(Request::SkippedParse(named()));
    pending.push_final(Request::Sync);
    pending.push_extended(Request::Bind);
    let undone = pending.on_error();
    assert_eq!(undone.len(), 1);
    assert!(pending.on_ready().is_some());
    assert_eq!(pending.on_reply(tag::BIND_COMPLETE), Reply::Forward);
    assert!(pending.is_empty() && !pending.is_done());
}

#[test]
fn messages_sent_between_an_error_and_its_sync_are_not_waited_for() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Bind);
    pending.on_error();
    assert!(pending.is_skipping());
    pending.push_extended(Request::Execute(None));
    pending.push_final(Request::Query(None));
    pending.push_final(Request::Sync);
    pending.on_ready();
    assert!(pending.is_done());
}

#[test]
fn a_skipped_parse_is_answered_in_its_turn() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Execute(None));
    pending.push_extended(Request::SkippedParse(named()));
    assert_eq!(pending.take_synthetic(), None);
    pending.on_reply(tag::COMMAND_COMPLETE);
    assert_eq!(pending.take_synthetic(), Some(Synthetic::ParseComplete));
}

#[test]
fn a_sync_pipelined_into_copy_in_is_never_answered() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Execute(None));
    pending.push_final(Request::Sync);
    pending.on_reply(tag::COPY_IN);
    pending.copy_ended();
    pending.push_final(Request::Sync);
    pending.on_reply(tag::COMMAND_COMPLETE);
    pending.on_ready();
    assert!(pending.is_done() && !pending.is_uncertain());
}

#[test]
fn a_sync_behind_a_copy_that_was_sent_whole_is_answered() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Execute(None));
    pending.copy_ended();
    pending.push_final(Request::Sync);
    pending.on_reply(tag::COPY_IN);
    pending.on_reply(tag::COMMAND_COMPLETE);
    assert!(pending.awaits_ready());
    pending.on_ready();
    assert!(pending.is_done());
}

#[test]
fn a_copy_that_fails_before_it_reads_has_its_sync_answered() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Execute(None));
    pending.push_final(Request::Sync);
    pending.on_reply(tag::COPY_IN);
    pending.on_error();
    assert!(!pending.is_done());
    pending.on_ready();
    assert!(pending.is_done());
}

#[test]
fn what_an_error_takes_back_comes_last_step_first() {
    let mut pending = Pending::default();
    pending.push_extended(Request::Bind);
    pending.push_extended(Request::Parse(Some(named())));
    pending.push_extended(Request::SkippedClose(Some(named())));
    let undone = pending.on_error();
    assert!(matches!(undone[..], [Undo::Close(_), Undo::Parse(_)]));
}

#[test]
fn a_sync_in_the_middle_of_copy_in_makes_the_server_uncertain() {
    let mut pending = Pending::default();
    pending.push_final(Request::Query(None));
    pending.on_reply(tag::COPY_IN);
    pending.push_final(Request::Sync);
    assert!(pending.is_uncertain());
}

#[test]
fn our_own_set_is_swallowed_whole() {
    let mut pending = Pending::default();
    pending.push_final(Request::Own(Own::Session));
    pending.push_final(Request::Query(None));
    assert_eq!(pending.own(), Some(Own::Session));
    assert_eq!(pending.on_reply(tag::COMMAND_COMPLETE), Reply::Swallow);
    assert!(matches!(
        pending.on_ready(),
        Some(Request::Own(Own::Session))
    ));
    assert_eq!(pending.on_reply(tag::COMMAND_COMPLETE), Reply::Forward);
}
