//! The process: command line, logs, signals, pidfile, systemd.
