//! `process_*`: what Prometheus' client libraries say about a process, under the same names.
//!
//! Reads /proc/self; a value that cannot be read is left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;

use super::text::{Kind, Text};

/// The process as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    open_fds: Option<usize>,
    max_fds: Option<u64>,
    start_seconds: f64,
}

/// Reads it.
pub fn read(started: SystemTime) -> Process {
    Process {
        cpu_seconds: getrusage(UsageWho::RUSAGE_SELF)
            .ok()
            .map(|usage| to_seconds(usage.user_time()) + to_seconds(usage.system_time())),
        resident_bytes: resident_bytes(),
        // One of them is the directory being read.
        open_fds: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|dir| dir.count().saturating_sub(1)),
        max_fds: getrlimit(Resource::RLIMIT_NOFILE)
            .ok()
            .map(|(soft, _)| soft),
        start_seconds: started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
    }
}

fn to_seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Writes the families that could be read.
pub fn write(text: &mut Text, process: &Process) {
    if let Some(value) = process.cpu_seconds {
        let help = "CPU time, user and system.";
        text.single("process_cpu_seconds_total", Kind::Counter, help, value);
    }
    if let Some(value) = process.resident_bytes {
        text.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Resident memory.",
            value,
        );
    }
    if let Some(value) = process.open_fds {
        text.single(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            value,
        );
    }
    if let Some(value) = process.max_fds {
        text.single(
            "process_max_fds",
            Kind::Gauge,
            "Limit of file descriptors.",
            value,
        );
    }
    let help = "Start of the process since the Unix epoch.";
    text.single(
        "process_start_time_seconds",
        Kind::Gauge,
        help,
        process.start_seconds,
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_of_them() {
        let process = read(SystemTime::now());
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!((3..100_000).contains(&process.open_fds.unwrap()));
        assert!(process.max_fds.unwrap() >= 3);
        assert!(process.start_seconds > 1e9);
    }
}
