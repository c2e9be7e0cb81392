//! Resources of this process, under the names that Prometheus' own clients use.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;

/// Resources of this process; what the system does not say is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) start_seconds: Option<f64>,
    /// Memory at the moment. On Linux alone: elsewhere it takes a call that needs unsafe code.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) max_open_files: Option<u64>,
}

impl Process {
    /// Looks at this process.
    pub(crate) fn look() -> Self {
        Self {
            cpu_seconds: cpu_seconds(),
            start_seconds: start_seconds(),
            resident_bytes: resident_bytes(),
            open_files: open_files(),
            max_open_files: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(Duration::from_micros(u64::try_from(micros).ok()?).as_secs_f64())
}

/// Returns the time at which this was asked first.
fn start_seconds() -> Option<f64> {
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
    })
}

/// Notes when this process started.
pub(crate) fn note_start() {
    start_seconds();
}

/// The second number is that of the resident pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(page).ok()?)
}

/// The directory itself is open while it is counted.
fn open_files() -> Option<u64> {
    let count = std::fs::read_dir("/dev/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn this_process_takes_something_of_everything() {
        let process = Process::look();
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        assert!(process.open_files.unwrap() > 0 && process.max_open_files.unwrap() > 0);
        if cfg!(target_os = "linux") {
            let bytes = process.resident_bytes.unwrap();
            assert!((100_000..100_000_000_000).contains(&bytes), "{bytes}");
        }
        assert_eq!(process.start_seconds, Process::look().start_seconds);
    }
}
