//! The order of the boot (see `daemon`'s head comment for the reasons).

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::watch;

use super::accept::{self, Listening};
use super::balance::Balance;
use super::console::Door;
use super::control::{Control, NewControl};
use super::live;
use super::slow_log::SlowReporter;
use crate::auth::scram::KeyCache;
use crate::client::{CancelKeys, Front};
use crate::config::{self, Config};
use crate::daemon::cli::RunOptions;
use crate::daemon::log::{FATAL_TARGET, LogConfig, LogHandle, Syslog};
use crate::daemon::{background, limits, log, memory, pidfile, privileges, signals, systemd};
use crate::lane::Lanes;
use crate::net::dns::Resolver;
use crate::net::listener::{self, ListenSettings, Listener};
use crate::pool::{Directory, NewShared, Shared};

/// A fatal error: it has a text and ends the process with status 1.
type Fatal = Box<dyn std::error::Error>;

/// Runs the pooler until it is told to end.
pub fn run(options: &RunOptions) -> ExitCode {
    let log = match log::install(&LogConfig {
        stderr: true,
        verbosity: options.verbose,
        ..LogConfig::default()
    }) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let result = boot(options, &log);
    let status = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                ::log::error!(target: FATAL_TARGET, "{line}");
            }
            ExitCode::FAILURE
        }
    };
    log.flush();
    status
}

fn boot(options: &RunOptions, log: &LogHandle) -> Result<(), Fatal> {
    if options.reboot {
        return Err(
            "online restart (-R) is not supported: start the new process beside the old one \
                    with so_reuseport, or restart"
                .into(),
        );
    }
    let mut config = config::load(&options.config)?;
    let named = &mut config.settings.conffile;
    named.get_or_insert_with(|| options.config.to_string_lossy().into_owned());
    for warning in &config.warnings {
        ::log::warn!("{warning}");
    }
    let user = options.user.as_deref().or(config.settings.user.as_deref());
    privileges::settle(user.filter(|user| !user.is_empty()))?;
    // The terminal hears of what goes wrong until the process has left it.
    log.apply(&LogConfig {
        stderr: !options.quiet,
        ..log_config(&config, options)
    })?;
    let pidfile = Some(config.settings.pidfile.clone()).filter(|path| !path.is_empty());
    if let Some(path) = &pidfile {
        pidfile::clear_stale(Path::new(path))?;
    }
    if options.daemon {
        background::detach(pidfile.as_deref().map(Path::new))?;
        log.apply(&log_config(&config, options))?;
    }
    // Whoever sees that the port is open may send a signal. Before the first thread: a signal is given
    // to any that does not hold it back.
    signals::hold();
    log.start_writer()?;
    serve(config, options, log, pidfile.as_deref())
}

/// From here on threads exist.
fn serve(
    config: Config,
    options: &RunOptions,
    log: &LogHandle,
    pidfile: Option<&str>,
) -> Result<(), Fatal> {
    memory::give_back_in_background();
    let lanes = Lanes::start(lane_count(&config))?;
    let listeners = listen(&config)?;
    report_limits(&config, lanes.all().len())?;
    let slow_log = SlowReporter::open(&config)?;
    let live = live::build(config, None)?;
    let shared = Shared::assemble(NewShared {
        lanes: lanes.all().to_vec(),
        live,
        key_cache: Arc::new(KeyCache::open()?),
        resolver: Arc::new(Resolver::default()),
    });
    let directory = Directory::open(Arc::clone(&shared));
    let (listening, is_listening) = watch::channel(Listening::All);
    let control = Control::start(NewControl {
        directory: Arc::clone(&directory),
        options: options.clone(),
        log: *log,
        listening,
        balance: Arc::new(Balance::over(lanes.all().to_vec())),
        notifier: systemd::Notifier::from_env(),
        slow_log,
    })?;
    let front = Arc::new(Front {
        directory,
        cancel_keys: Arc::new(CancelKeys::default()),
        console: Arc::new(Door(control.console())),
    });
    let balance = Arc::clone(control.balance());
    let Some(first) = lanes.all().first() else {
        return Ok(());
    };
    let acceptors = accept::start(listeners, front, balance, is_listening, first);
    let written = pidfile
        .map(Path::new)
        .map(pidfile::PidFile::create)
        .transpose()?;
    ::log::info!("process up: {}", control.banner());
    control.run_until_end();
    acceptors.join();
    drop(written);
    lanes.stop();
    Ok(())
}

/// `lanes`; 0 = the CPUs this process may use, its affinity and its cgroup's quota included.
fn lane_count(config: &Config) -> usize {
    match config.own.lanes {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        lanes => lanes as usize,
    }
}

fn listen(config: &Config) -> Result<Vec<Listener>, Fatal> {
    let inherited = systemd::listen_fds()?;
    if !inherited.is_empty() {
        if !config.settings.listen_addr.is_empty() {
            ::log::warn!("sockets passed from service manager, listen_addr ignored");
        }
        return Ok(listener::inherit(inherited)?);
    }
    Ok(listener::bind(&ListenSettings::from(&config.settings))?)
}

fn report_limits(config: &Config, lanes: usize) -> Result<(), Fatal> {
    let limit = limits::raise_descriptors()?;
    let max_client_conn = u64::from(config.settings.max_client_conn);
    let databases = config.databases.values().chain(&config.auto_database);
    let pools = databases.map(|database| {
        let pool = config.pool(database, "");
        limits::PoolDemand {
            size: u64::from(pool.pool_size() + pool.reserve_pool_size()),
            has_forced_user: database.user.is_some(),
        }
    });
    let expected = limits::expected_use(max_client_conn, 1, lanes as u64, pools);
    limit.report(max_client_conn, expected);
    Ok(())
}

/// What the settings and the command line say about logging.
pub(super) fn log_config(config: &Config, options: &RunOptions) -> LogConfig {
    let settings = &config.settings;
    LogConfig {
        stderr: !options.quiet && !options.daemon,
        logfile: Some(&settings.logfile)
            .filter(|path| !path.is_empty())
            .map(Into::into),
        syslog: settings.syslog.then(|| Syslog {
            ident: settings.syslog_ident.clone(),
            facility: settings.syslog_facility.clone(),
        }),
        verbosity: settings.verbose.map_or(options.verbose, |level| {
            u8::try_from(level).unwrap_or(u8::MAX)
        }),
    }
}
