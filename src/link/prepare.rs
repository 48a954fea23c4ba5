//! Preparing on the linked server what it lacks, under a name of ours.
//!
//! Owns: the room for it within max_prepared_statements. Its answer is swallowed.

use std::sync::Arc;

use super::Link;
use crate::server::pending::{Named, Request};
use crate::session::prepared::Statement;
use crate::stats::Count;
use crate::wire::frontend;

impl Link<'_> {
    /// Notes that the server is about to have the statement; closes its oldest when it has too many.
    pub(super) fn make_room_for(&mut self, statement: &Arc<Statement>) {
        self.server.statements.insert(Arc::clone(statement));
        self.timing.count(self.client, Count::ServerParses);
        while let Some(oldest) = self.server.statements.evict_over(self.max_prepared) {
            let mut close = Vec::new();
            frontend::close_statement(&mut close, oldest.server_name.as_bytes());
            self.client.inbound.insert_parsed(&close);
            self.server
                .pending
                .push_extended(Request::InjectedClose(oldest));
        }
        let count = self.server.statements.len();
        self.server.slot.set_prepared(count);
    }

    /// Makes the server have the statement, with a Parse of ours where it has not; false when what
    /// is to be sent must go out first.
    pub(super) fn ensure_prepared(&mut self, statement: &Arc<Statement>) -> bool {
        if self.server.statements.touch(statement.id) {
            return true;
        }
        if !self.has_room_for_parse() {
            return false;
        }
        self.make_room_for(statement);
        let named = Box::new(Named {
            client_name: None,
            statement: Arc::clone(statement),
            unnamed: None,
        });
        self.inject(statement.server_name.as_bytes(), statement, Some(named));
        self.heal.fresh = statement.id;
        true
    }
}
