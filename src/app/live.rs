//! Files to what a reload replaces as a whole: settings, userlist, TLS, socket options.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, ConfigErrors, Userlist};
use crate::net::SocketOptions;
use crate::net::tls::{ClientTls, ServerTls, TlsError, TlsSettings};
use crate::pool::Live;

/// Why a configuration cannot be put in force. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The file has errors; one line each, with file and line.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A TLS file or setting.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// Reads everything that `config` names. `before`: what is in force, whose unchanged files are kept.
pub fn build(config: Config, before: Option<&Live>) -> Result<Live, LiveError> {
    let settings = &config.settings;
    let client_tls = ClientTls::build(&TlsSettings::for_clients(settings))?;
    let server_tls = ServerTls::build(&TlsSettings::for_servers(settings))?;
    let socket_options = SocketOptions::from(settings);
    Ok(Live {
        userlist: userlist(&config, before),
        client_tls: client_tls.is_offered().then(|| Arc::new(client_tls)),
        server_tls: Arc::new(server_tls),
        socket_options,
        config,
    })
}

/// The auth_file; read again only when it has changed. COMPAT: a missing or broken one is an error
/// in the log, and the process goes on with what could be read.
fn userlist(config: &Config, before: Option<&Live>) -> Userlist {
    let Some(path) = config.settings.auth_file.as_deref().map(Path::new) else {
        return Userlist::default();
    };
    if let Some(before) = before
        && before.config.settings.auth_file == config.settings.auth_file
        && !before.userlist.is_stale(path)
    {
        return before.userlist.clone();
    }
    let (userlist, errors) = Userlist::load(path);
    for error in errors {
        log::error!("{error}");
    }
    userlist
}
