//! What the task agent asks of the operating system beyond POSIX, under the same names on each.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;

/// One process, as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// Id of its parent.
    pub(crate) parent: i32,
    /// Its session.
    pub(crate) session: i32,
    /// Its owner.
    pub(crate) uid: u32,
    /// Whether it has ended and only waits for its parent to notice.
    pub(crate) is_zombie: bool,
    /// Its command line, or its name where that can not be read.
    pub(crate) command: String,
}

/// The real, effective and saved ids of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// User ids.
    pub(crate) users: [u32; 3],
    /// Group ids.
    pub(crate) groups: [u32; 3],
}

/// A limit on what a task's processes may take. nix leaves out the first one on macOS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Processes of the user.
    Processes,
    /// Open files of one process.
    OpenFiles,
}

/// What a limit may be raised to without being root.
pub(crate) fn hard_limit(limit: Limit) -> std::io::Result<u64> {
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // Its type has another name on each system.
    let resource = match limit {
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
    };
    // SAFETY: The pointer is to a structure that lives through the call.
    check(unsafe { libc::getrlimit(resource, &raw mut value) })?;
    Ok(value.rlim_max)
}

/// Sets a limit for this process and for those that it starts.
pub(crate) fn set_limit(limit: Limit, value: u64) -> std::io::Result<()> {
    let value = libc::rlimit { rlim_cur: value, rlim_max: value };
    let resource = match limit {
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
    };
    // SAFETY: The pointer is to a structure that lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const value) }).map(drop)
}

/// Removes this user's crontab and `at` jobs, and says what there was. Where the programs are
/// not installed there is nothing to remove.
fn remove_cron_and_at() -> Vec<String> {
    let mut lines = Vec::new();
    let run = |program: &str, arguments: &[&str]| {
        let path = std::path::Path::new("/usr/bin").join(program);
        let output = path.exists().then(|| {
            std::process::Command::new(&path)
                .args(arguments)
                .stdin(std::process::Stdio::null())
                .output()
        });
        output
            .and_then(Result::ok)
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if run("crontab", &["-l"]).is_some_and(|table| !table.trim().is_empty())
        && run("crontab", &["-r"]).is_some()
    {
        lines.push("removed the crontab that the job left".to_owned());
    }
    for job in run("atq", &[]).unwrap_or_default().lines() {
        let id = job.split_whitespace().next().unwrap_or_default();
        if !id.is_empty() && run("atrm", &[id]).is_some() {
            lines.push(format!("removed the `at` job {id} that the job left"));
        }
    }
    lines
}

/// Turns the -1 of a system call into the error that it stands for.
pub(crate) fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
