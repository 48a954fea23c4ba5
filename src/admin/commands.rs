//! Verbs: SET, RELOAD, PAUSE, RESUME, KILL and the others, with rights and log lines (surface 3.3).

use std::borrow::Cow;

use super::asks::{Options, Screen};
use super::grammar::{Command, Shutdown};
use super::rows::Table;
use super::screen::{self, Context, Reader};
use super::session::{Failed, Session};
use super::{SetDone, show};
use crate::config::CONSOLE_DATABASE;
use crate::error::ClientError;
use crate::pool::{ControlError, Directory, ProcessState};
use crate::stats::ClientState;

/// A notice in front of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Field M.
    pub text: Cow<'static, str>,
    /// Field D.
    pub detail: Option<&'static str>,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Sent first.
    pub notice: Option<Notice>,
    /// SHOW's result.
    pub table: Option<Table>,
    /// Text of CommandComplete.
    pub tag: String,
}

impl Reply {
    pub(super) fn done(tag: impl Into<String>) -> Self {
        Self {
            notice: None,
            table: None,
            tag: tag.into(),
        }
    }

    pub(super) fn noticed(
        text: impl Into<Cow<'static, str>>,
        detail: Option<&'static str>,
        tag: impl Into<String>,
    ) -> Self {
        let text = text.into();
        Self {
            notice: Some(Notice { text, detail }),
            ..Self::done(tag)
        }
    }

    fn shown(table: Table) -> Self {
        Self {
            table: Some(table),
            ..Self::done("SHOW")
        }
    }
}

impl From<ControlError> for Failed {
    fn from(error: ControlError) -> Self {
        ClientError::console(error.to_string()).into()
    }
}

type Outcome = Result<Reply, Failed>;

impl Session {
    /// Carries out one command; PAUSE and WAIT_CLOSE return when they are done.
    pub(super) async fn execute(&self, command: &Command) -> Outcome {
        match command {
            Command::Show(topic) => self.show(*topic),
            Command::ShowFaked(name, value) => Ok(Reply::shown(show::faked(name, value))),
            Command::Screen(screen, options) => self.screen(screen, options),
            Command::SetFaked => Ok(Reply::noticed("SET ignored", None, "SET")),
            _ if !self.user.is_admin => Err(ClientError::console_admin_needed().into()),
            Command::Act(act) => self.act(act).await,
            Command::Set { key, value } => self.set(key, value),
            Command::Reload => self.reload().await,
            Command::Pause(None) => self.pause().await,
            Command::Pause(Some(name)) => self.pause_database(name).await,
            Command::Resume(name) => self.resume(name.as_deref()),
            Command::Reconnect(name) => self.reconnect(name.as_deref()),
            Command::Disable(name) => self.set_disabled(name.as_deref(), true),
            Command::Enable(name) => self.set_disabled(name.as_deref(), false),
            Command::Kill(name) => self.kill(name.as_deref()),
            Command::KillClient(id) => self.kill_client(id.as_deref()),
            Command::Suspend => Err(ClientError::console_unsupported("SUSPEND").into()),
            Command::WaitClose(name) => self.wait_close(name.as_deref()).await,
            Command::Shutdown(mode) => self.shutdown(*mode).await,
        }
    }

    fn directory(&self) -> &Directory {
        &self.console.directory
    }

    fn show(&self, topic: super::grammar::Topic) -> Outcome {
        use super::grammar::Topic;
        match topic {
            Topic::Help => Ok(Reply::noticed("Console usage", Some(show::HELP), "SHOW")),
            Topic::Fds if !self.user.is_admin => Err(ClientError::console_admin_needed().into()),
            Topic::Fds => Err(ClientError::console_unsupported("SHOW FDS").into()),
            _ => Ok(Reply::shown(show::table(topic, self.directory()))),
        }
    }

    fn screen(&self, screen: &Screen, options: &Options) -> Outcome {
        let shown = screen::show(screen, &self.context(options))?;
        Ok(Reply {
            table: Some(shown.table),
            ..Reply::noticed(shown.notice, None, "SHOW")
        })
    }

    /// What screens and lists are made from.
    pub(super) fn context<'a>(&'a self, options: &'a Options) -> Context<'a> {
        let directory = self.directory();
        Context {
            directory,
            insight: &directory.shared.insight,
            options,
            reader: Reader::of(&self.user, &directory.shared.live().config),
        }
    }

    fn set(&self, key: &str, value: &str) -> Outcome {
        let tag = format!("SET {key}={value}");
        match self.console.hooks.set(key, value) {
            Ok(SetDone::Applied) => Ok(Reply::done(tag)),
            Ok(SetDone::TlsUnchanged) => Ok(Reply::noticed(
                "TLS settings could not be applied, still using old configuration",
                None,
                tag,
            )),
            Err(error) => {
                log::error!("{error}");
                Err(ClientError::console_set_failed().into())
            }
        }
    }

    async fn reload(&self) -> Outcome {
        log::info!("RELOAD command issued");
        let reloaded = self.console.hooks.reload().await;
        reloaded.map_err(|_| ClientError::console_reload_failed())?;
        Ok(Reply::done("RELOAD"))
    }

    async fn pause(&self) -> Outcome {
        let directory = self.directory();
        if directory.state() == ProcessState::WaitForServers {
            return Err(ClientError::console_already_paused().into());
        }
        directory.pause()?;
        log::info!("PAUSE command issued");
        let is_done = || directory.is_quiet(None) || directory.state() != ProcessState::Paused;
        match self.wait_until(is_done).await {
            Ok(()) if directory.state() == ProcessState::Active => {
                Err(ClientError::console_resumed_meanwhile().into())
            }
            Ok(()) => Ok(Reply::done("PAUSE")),
            Err(Failed::Error(error)) => {
                // COMPAT: a cancel resumes. It may have been resumed by somebody else already.
                let _ = directory.resume();
                Err(error.into())
            }
            Err(Failed::Gone) => Err(Failed::Gone),
        }
    }

    async fn pause_database(&self, name: &str) -> Outcome {
        let directory = self.directory();
        refuse_own("pause", name)?;
        if is_all_paused(directory) {
            return Err(ClientError::console_already_paused().into());
        }
        log::info!("PAUSE '{name}' command issued");
        directory.pause_database(name)?;
        let waited = self.wait_until(|| directory.is_quiet(Some(name))).await;
        if let Err(Failed::Error(_)) = waited {
            let _ = directory.resume_database(name);
        }
        waited.map(|()| Reply::done("PAUSE"))
    }

    fn resume(&self, name: Option<&str>) -> Outcome {
        log_issued("RESUME", name);
        match name {
            None => self.directory().resume()?,
            Some(name) => self.directory().resume_database(name)?,
        }
        Ok(Reply::done("RESUME"))
    }

    fn reconnect(&self, name: Option<&str>) -> Outcome {
        log_issued("RECONNECT", name);
        name.map_or(Ok(()), |name| refuse_own("reconnect", name))?;
        self.directory().reconnect(name)?;
        Ok(Reply::done("RECONNECT"))
    }

    fn set_disabled(&self, name: Option<&str>, is_disabled: bool) -> Outcome {
        let (verb, tag) = match is_disabled {
            true => ("disable", "DISABLE"),
            false => ("enable", "ENABLE"),
        };
        let name = name.ok_or_else(ClientError::console_database_required)?;
        log_issued(tag, Some(name));
        refuse_own(verb, name)?;
        self.directory().set_disabled(name, is_disabled)?;
        Ok(Reply::done(tag))
    }

    fn kill(&self, name: Option<&str>) -> Outcome {
        if is_all_paused(self.directory()) {
            return Err(ClientError::console_already_paused().into());
        }
        log_issued("KILL", name);
        name.map_or(Ok(()), |name| refuse_own("kill", name))?;
        self.directory().kill(name)?;
        Ok(Reply::done("KILL"))
    }

    fn kill_client(&self, id: Option<&str>) -> Outcome {
        let id = id.and_then(leading_number);
        let id = id.ok_or_else(ClientError::console_invalid_client)?;
        let client = self.directory().shared.registry.client(id);
        let client = client
            .filter(|client| client.state() != ClientState::Login)
            .ok_or_else(ClientError::console_client_not_found)?;
        client.order_close(ClientError::admin_disconnect());
        Ok(Reply::done("KILL_CLIENT"))
    }

    async fn wait_close(&self, name: Option<&str>) -> Outcome {
        let directory = self.directory();
        log_issued("WAIT_CLOSE", name);
        if let Some(name) = name {
            refuse_own("wait in", name)?;
            if directory.find(name).is_none() {
                return Err(ControlError::NoSuchDatabase(name.to_owned()).into());
            }
        }
        self.wait_until(|| !directory.has_tagged_servers(name))
            .await?;
        Ok(Reply::done("WAIT_CLOSE"))
    }

    async fn shutdown(&self, mode: Shutdown) -> Outcome {
        log::info!(
            "{} command issued",
            match mode {
                Shutdown::Immediate => "SHUTDOWN",
                Shutdown::WaitForServers => "SHUTDOWN WAIT_FOR_SERVERS",
                Shutdown::WaitForClients => "SHUTDOWN WAIT_FOR_CLIENTS",
            }
        );
        self.console.hooks.shutdown(mode);
        if mode == Shutdown::Immediate {
            // COMPAT: no reply; the connection stays until the process is gone.
            self.wait_until(|| false).await?;
        }
        Ok(Reply::done("SHUTDOWN"))
    }
}

fn is_all_paused(directory: &Directory) -> bool {
    matches!(
        directory.state(),
        ProcessState::Paused | ProcessState::WaitForServers
    )
}

fn refuse_own(verb: &str, name: &str) -> Result<(), ClientError> {
    if name == CONSOLE_DATABASE {
        return Err(ClientError::console_own_database(verb, name));
    }
    Ok(())
}

fn log_issued(verb: &str, database: Option<&str>) {
    match database {
        Some(name) => log::info!("{verb} '{name}' command issued"),
        None => log::info!("{verb} command issued"),
    }
}

/// COMPAT: digits up to the first other character.
fn leading_number(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}
