//! What a server may have been asked, and what becomes of its answers.

use std::sync::Arc;

use crate::session::deed::{Deed, Deeds};
use crate::session::prepared::{Statement, Unnamed};

/// A named statement on its way: enough to undo its registration when the server does not make it.
#[derive(Debug)]
pub struct Named {
    /// The client's name; `None` when we injected the Parse ourselves.
    pub client_name: Option<Box<[u8]>>,
    /// The entry.
    pub statement: Arc<Statement>,
    /// The client knows it as its unnamed statement; what that was before.
    pub unnamed: Option<Unnamed>,
}

/// One outstanding request.
#[derive(Debug)]
pub enum Request {
    /// Simple query: ends with ReadyForQuery. With what it will have done to the session.
    Query(Option<Box<Deeds>>),
    /// FunctionCall: ends with ReadyForQuery.
    FunctionCall,
    /// Sync: ends with ReadyForQuery.
    Sync,
    /// A Sync of ours: its ReadyForQuery is ours.
    OwnSync,
    /// A Query of our own: everything up to its ReadyForQuery is ours.
    Own(Own),
    /// Parse, Bind and Execute of a BEGIN that was answered before: their answers are ours.
    Begin,
    /// A Sync of ours behind that: its ReadyForQuery is ours.
    BeginSync,
    /// Parse that the client sees answered; with the statement when it is shared.
    Parse(Option<Box<Named>>),
    /// Parse of the client's unnamed statement as it is; what that was before.
    UnnamedParse(Unnamed),
    /// Parse that we injected: its answer is swallowed.
    InjectedParse(Box<Named>),
    /// Parse, Bind and Execute of an SQL PREPARE that we injected; the statement when it is shared.
    InjectedPrepare(Option<Box<Named>>),
    /// Parse of the unnamed statement, or of a name of the client's, that we injected.
    InjectedUnnamed,
    /// Close of the unnamed statement that we injected.
    InjectedForget,
    /// Parse that is not sent, because the server has the statement: we answer.
    SkippedParse(Box<Named>),
    /// Bind.
    Bind,
    /// Describe.
    Describe,
    /// Bind whose error may be healed (`link/heal.rs`).
    HealedBind,
    /// Describe whose error may be healed.
    HealedDescribe,
    /// Describe of ours: whether a statement's columns are still those that clients were told.
    OwnDescribe(Arc<Statement>),
    /// Bind or Describe of a name that no statement has, in place of one whose columns have changed.
    Refused,
    /// Execute, with what it will have done to the session.
    Execute(Option<Arc<Deed>>),
    /// Close that the client sees answered by the server.
    Close,
    /// Close that we injected, of a statement that had to make room.
    InjectedClose(Arc<Statement>),
    /// Close of a shared statement: never sent, we answer; the entry, to give the name back when an
    /// earlier error means that PostgreSQL would have skipped it.
    SkippedClose(Option<Box<Named>>),
}

/// Why we ask a server something ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Its settings are made to match the client's.
    Session,
    /// A transaction block that has failed, as the client believes; its error is expected.
    FailedBlock,
    /// What does it hold for the client?
    Pins,
    /// Its session forgets what others advanced.
    Sequences,
    /// What has a statement set that only the server can compute?
    Values,
    /// May functions that its client has called leave something in the session?
    Functions,
}

/// What to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is the client's.
    Forward,
    /// It is ours.
    Swallow,
}

/// Whose answer comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Nothing was asked.
    Nothing,
    /// A simple Query or a FunctionCall.
    Query,
    /// An Execute.
    Execute,
    /// Another step of the extended protocol.
    Step,
    /// A Sync.
    Sync,
    /// Our own SET.
    Ours,
}

/// A step that PostgreSQL has skipped because of an error, and what is to be taken back.
#[derive(Debug)]
pub enum Undo {
    /// The server does not have the statement, nor does the client hold its name.
    Parse(Named),
    /// The client does not hold the name; the server has the statement as before.
    SkippedParse(Named),
    /// The name stays in use.
    Close(Named),
    /// The server still has the statement.
    Eviction(Arc<Statement>),
    /// The client's unnamed statement is this one.
    Unnamed(Unnamed),
    /// What the server's unnamed statement is cannot be said.
    ServerUnnamed,
}

/// An answer that the server will not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synthetic {
    /// ParseComplete.
    ParseComplete,
    /// CloseComplete.
    CloseComplete,
}
