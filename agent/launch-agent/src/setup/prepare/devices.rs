//! Simulators in the skeleton of homes: made once for a set of runtimes, and cloned into the home of
//! each task.
//!
//! A fresh home has no simulators, and CoreSimulator makes those of all runtimes when it is first
//! asked, which took minutes where many runtimes are installed (dotnet/xharness #298). So root's own
//! set is made, and copied into the skeleton: a set names its devices by number and holds no path.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PrepareHost;
use super::runtimes::list_runtimes;
use crate::setup::{Found, SetupError, Step};
use russet_platform::replace;

const CP: &str = "/bin/cp";
const CHMOD: &str = "/bin/chmod";

/// Device set below a home.
const SET: &str = "Library/Developer/CoreSimulator/Devices";

/// Root's home on macOS.
const ROOT_HOME: &str = "var/root";

/// File in a set of the skeleton that says of which runtimes it is.
const STAMP: &str = ".russet-runtimes";

/// Making all default devices of all runtimes.
const MAKE_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// The simulators in the skeleton.
pub(super) struct DevicesStep<'a> {
    pub(super) host: &'a PrepareHost,
    pub(super) skeleton: &'a Path,
}

impl DevicesStep<'_> {
    fn set(&self) -> PathBuf {
        self.skeleton.join(SET)
    }

    /// The builds of the runtimes that can be used, one a line.
    fn builds(&self) -> Result<String, SetupError> {
        let runtimes = list_runtimes(&self.host.xcode())?;
        let ready = runtimes.iter().filter(|one| one.is_ready());
        Ok(ready.map(|one| format!("{}\n", one.build)).collect())
    }

    fn stamp(&self) -> Option<String> {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.set().join(STAMP);
        let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
        let mut text = String::new();
        file.ok()?.take(64 * 1024).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Step for DevicesStep<'_> {
    fn title(&self) -> String {
        format!("put simulators into {}", self.skeleton.display())
    }

    fn look(&self) -> Result<Found, SetupError> {
        let builds = self.builds()?;
        Ok(match self.stamp() {
            _ if builds.is_empty() => Found::Ready("there are no runtimes".to_owned()),
            Some(stamp) if stamp == builds => {
                Found::Ready("they are there, of these runtimes".to_owned())
            }
            Some(_) => Found::Missing("those that are there are of other runtimes".to_owned()),
            None => Found::Missing("there are none".to_owned()),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the skeleton is root's alone, which the configuration checks, and so is root's home"
    )]
    fn act(&self) -> Result<(), SetupError> {
        let builds = self.builds()?;
        let home = self.host.root.join(ROOT_HOME);
        let list = self.host.xcode().simctl(&["list", "devices"]);
        list.env("HOME", &home).limit(MAKE_TIMEOUT).run_ok()?;
        let set = self.set();
        let failed = |source| SetupError::Record { path: set.clone(), source };
        // Without its stamp it is made anew, wherever this ends.
        replace::remove_file(&set.join(STAMP)).or_else(missing_is_fine).map_err(failed)?;
        match std::fs::remove_dir_all(&set) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        std::fs::create_dir_all(set.parent().unwrap_or(&set)).map_err(failed)?;
        // `-c`: clones, which take neither time nor room on APFS.
        let copy = self.host.tools.command(CP).args(["-R", "-c"]);
        copy.arg(home.join(SET)).arg(&set).limit(MAKE_TIMEOUT).run_ok()?;
        self.host.tools.command(CHMOD).args(["-R", "a+rX"]).arg(&set).run_ok()?;
        replace::write(&set.join(STAMP), builds.as_bytes(), 0o644).map_err(failed)
    }

    fn remedy(&self) -> Option<String> {
        Some(
            "`sudo xcrun simctl list devices` has to list devices; without a set in the skeleton \
             each task makes its own"
                .to_owned(),
        )
    }
}

fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
