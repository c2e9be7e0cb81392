//! Files and pages that the desktop opens: pages, and logs as files that grow.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;

use crate::controller::Log;
use crate::front::Pane;
use crate::places::{make_dir, private_file};

/// A followed log that is longer ends here; who wants all of it asks `russet agent logs`.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Opens an address or a file with what the person uses for it.
pub(super) fn open_on_desktop(what: &OsStr) {
    let started = tokio::process::Command::new("xdg-open")
        .arg(what)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match started {
        Ok(mut child) => {
            // It is waited for, so that nothing is left of it.
            tokio::spawn(async move { drop(child.wait().await) });
        }
        Err(error) => crate::print_error(&format!("could not run xdg-open: {error}")),
    }
}

/// A file that a log is written into, and that the system's viewer shows.
#[derive(Debug)]
pub(crate) struct Followed {
    file: File,
    length: u64,
}

impl Followed {
    /// An empty one, shown to the person.
    pub(super) fn open(dir: &Path, log: &Log) -> anyhow::Result<Self> {
        let name = match log {
            Log::Agent => "agent.log".to_owned(),
            Log::Task { id, .. } => {
                let id: String = id
                    .as_str()
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                    .collect();
                format!("task-{id}.log")
            }
        };
        let path = dir.join("logs").join(name);
        make_dir(&path)?;
        let mut file = private_file(&path, true)
            .with_context(|| format!("could not write {}", path.display()))?;
        let title = format!("{}\n\n", log.title());
        file.write_all(title.as_bytes())?;
        open_on_desktop(path.as_os_str());
        Ok(Self { file, length: 0 })
    }
}

impl Pane for Followed {
    fn add(&mut self, text: &str) -> bool {
        self.length = self.length.saturating_add(u64::try_from(text.len()).unwrap_or_default());
        self.length < LONGEST && self.file.write_all(text.as_bytes()).is_ok()
    }
}
