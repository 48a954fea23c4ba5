//! Our own verbs: RESET STATEMENTS, CANCEL, KILL_CLIENT PID and KILL IDLE IN TRANSACTION.
//!
//! Acts through slots and the [`super::Hooks`]; each that closes or cancels something is one log
//! line that says who asked.

use std::sync::Arc;

use super::asks::{Act, KillIdle, Whom};
use super::commands::Reply;
use super::rows::{Cell, Column, Table};
use super::screen::{self, Context, State};
use super::session::{Failed, Session};
use super::show::head;
use crate::error::ClientError;
use crate::insight::View;
use crate::stats::{ClientSlot, ClientState};

const KILLED: &[Column] = head![
    id Q, pid I, user T, database T, app T, client T, idle_s F, statement T,
];

/// The columns of a verb that lists something.
pub fn columns(act: &Act) -> Option<&'static [Column]> {
    match act {
        Act::KillIdle(_) => Some(KILLED),
        _ => None,
    }
}

type Outcome = Result<Reply, Failed>;

impl Session {
    /// Carries out one of our own verbs. The caller has made sure that an admin asks.
    pub(super) async fn act(&self, act: &Act) -> Outcome {
        match act {
            Act::ResetStatements(named) => self.reset_statements(*named),
            Act::Cancel(whom) => self.cancel(*whom).await,
            Act::KillPid(pid) => self.kill_pid(*pid),
            Act::KillIdle(kill) => Ok(self.kill_idle(kill)),
        }
    }

    fn reset_statements(&self, named: Option<u64>) -> Outcome {
        let insight = &self.console.directory.shared.insight;
        match named {
            None => {
                log::info!("RESET STATEMENTS command issued by {}", self.user.name);
                insight.reset_statements();
            }
            Some(named) if insight.reset_statement(named) => {
                let name = &self.user.name;
                log::info!("RESET STATEMENTS '{named:016x}' command issued by {name}");
            }
            Some(named) => return Err(ClientError::console_unknown_fingerprint(named).into()),
        }
        Ok(Reply::done("RESET STATEMENTS"))
    }

    async fn cancel(&self, whom: Whom) -> Outcome {
        let client = self.whom(whom)?;
        let is_running = matches!(client.state(), ClientState::Active | ClientState::Waiting);
        if !is_running || client.server_id() == 0 {
            return Err(ClientError::console_nothing_to_cancel(client.id).into());
        }
        log::info!(
            "CANCEL of client {} command issued by {}",
            client.id,
            self.user.name
        );
        self.console.hooks.cancel(&client).await;
        Ok(Reply::done("CANCEL"))
    }

    fn kill_pid(&self, pid: i32) -> Outcome {
        let client = self.whom(Whom::Pid(pid))?;
        log::info!(
            "KILL_CLIENT of client {} command issued by {}",
            client.id,
            self.user.name
        );
        client.order_close(ClientError::admin_disconnect());
        Ok(Reply::done("KILL_CLIENT"))
    }

    fn whom(&self, whom: Whom) -> Result<Arc<ClientSlot>, ClientError> {
        let registry = &self.console.directory.shared.registry;
        let not_found = match whom {
            Whom::Client(id) => {
                let client = registry.client(id);
                return client.ok_or_else(ClientError::console_client_not_found);
            }
            Whom::Pid(pid) => ClientError::console_pid_not_found(pid),
        };
        let linked = registry.servers().into_iter().find_map(|server| {
            let is_it = matches!(whom, Whom::Pid(pid) if server.backend_pid == pid);
            is_it.then(|| registry.client(server.client_id())).flatten()
        });
        linked.ok_or(not_found)
    }

    fn kill_idle(&self, kill: &KillIdle) -> Reply {
        let sessions = screen::sessions(&self.console.directory);
        let context = self.context(&kill.options);
        let view = context.insight.read();
        let mut found: Vec<_> = sessions
            .iter()
            .filter(|session| session.state == State::IdleInTransaction)
            .filter(|session| session.state_us > kill.over_us)
            .filter(|s| kill.options.wants(&s.database, &s.user) && kill.options.wants_app(&s.app))
            .collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.state_us));
        if !kill.is_dry {
            for session in &found {
                log::info!(
                    "{}KILL IDLE IN TRANSACTION command issued by {}, idle for {} s",
                    session.slot.log_prefix(),
                    self.user.name,
                    session.state_us / 1_000_000
                );
                session.slot.order_close(ClientError::admin_disconnect());
            }
        }
        let rows = found
            .iter()
            .map(|session| killed(session, &context, &view))
            .collect();
        let verb = if kill.is_dry {
            "would be closed"
        } else {
            "closed"
        };
        let seconds = kill.over_us / 1_000_000;
        Reply {
            table: Some(Table {
                columns: KILLED,
                rows,
            }),
            ..Reply::noticed(
                format!(
                    "{} idle in transaction over {seconds} s {verb}",
                    found.len()
                ),
                None,
                "KILL",
            )
        }
    }
}

fn killed(session: &screen::Session, context: &Context<'_>, view: &View<'_>) -> Vec<Cell> {
    let text = view.text(session.fingerprint()).unwrap_or_default();
    let pid = session.pid().and_then(|pid| u64::try_from(pid).ok());
    vec![
        session.slot.id.into(),
        pid.map_or(Cell::Null, Cell::from),
        (*session.user).into(),
        (*session.database).into(),
        (*session.app).into(),
        session.client().into(),
        Cell::seconds(session.state_us),
        context.reader.line(&text),
    ]
}
