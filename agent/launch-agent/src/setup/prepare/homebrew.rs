//! Tools that jobs call beside Xcode, installed by Homebrew as the user who owns its prefix.
//!
//! Threat: a Brewfile is Ruby, which `brew bundle` runs, and a formula that is named by a path is
//! Ruby too. So the file is read here, as names and nothing else, and Homebrew gets names alone.
//! (A published experiment, wraithbox X20, had a Brewfile write a program into everybody's `PATH`.)

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PrepareHost;
use crate::setup::{Found, SetupError, Step};

const SUDO: &str = "/usr/bin/sudo";

/// Prefixes of Homebrew: on Apple silicon and on Intel.
const PREFIXES: [&str; 2] = ["opt/homebrew", "usr/local"];

/// X20 installed 59 formulae in three to four minutes; from source it takes hours.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// Larger than any list of tools.
const MAX_BREWFILE_BYTES: u64 = 256 * 1024;

/// Longest name of a formula.
const MAX_NAME: usize = 100;

/// Reads the names of a Brewfile.
///
/// # Errors
///
/// It cannot be read, or a line is more than a name.
pub fn read_brewfile(path: &Path) -> Result<Vec<String>, SetupError> {
    let failed = |error: &dyn std::fmt::Display| {
        SetupError::Unfit(format!("could not use {}: {error}", path.display()))
    };
    let mut text = String::new();
    let read =
        open_file(path).and_then(|file| file.take(MAX_BREWFILE_BYTES).read_to_string(&mut text));
    read.map_err(|error| failed(&error))?;
    parse_brewfile(&text).map_err(|error| failed(&error))
}

fn open_file(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The first line that is more than a name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} is not `brew \"name\"`: taps, casks, options and code are left out on purpose"
)]
pub(super) struct BadLine {
    line: usize,
}

pub(super) fn parse_brewfile(text: &str) -> Result<Vec<String>, BadLine> {
    let mut names = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let name = line.strip_prefix("brew ").map(str::trim).and_then(unquote);
        let name = name.filter(|name| is_formula(name)).ok_or(BadLine { line: index + 1 })?;
        names.push(name.to_owned());
    }
    Ok(names)
}

fn unquote(text: &str) -> Option<&str> {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

/// A name of homebrew/core: never a path, a tap or an option.
fn is_formula(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+._@-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && name.len() <= MAX_NAME && name.chars().all(is_part) && !name.ends_with(".rb")
}

/// Formulae that are to be there.
pub(super) struct BrewStep<'a> {
    pub(super) host: &'a PrepareHost,
    pub(super) names: &'a [String],
}

impl BrewStep<'_> {
    /// The prefix, and the name of its owner.
    fn prefix(&self) -> Result<(PathBuf, String), SetupError> {
        let has_brew = |prefix: &PathBuf| prefix.join("bin/brew").exists();
        let prefix = PREFIXES.iter().map(|prefix| self.host.root.join(prefix)).find(has_brew);
        let prefix = prefix.ok_or_else(|| {
            SetupError::Unfit(
                "there is no Homebrew on this Mac (docs/ios.md, \"Homebrew\")".to_owned(),
            )
        })?;
        let brew = std::fs::metadata(prefix.join("bin/brew")).map_err(|error| {
            SetupError::Unfit(format!("could not look at {}: {error}", prefix.display()))
        })?;
        let owner = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(brew.uid()));
        let owner = owner.ok().flatten().filter(|user| !user.uid.is_root()).ok_or_else(|| {
            SetupError::Unfit(format!(
                "{} belongs to root or to nobody, and Homebrew does not run as root",
                prefix.display()
            ))
        })?;
        Ok((prefix, owner.name))
    }

    fn missing(&self, prefix: &Path) -> Vec<&str> {
        let is_missing = |name: &&String| !prefix.join("opt").join(name).exists();
        self.names.iter().filter(is_missing).map(String::as_str).collect()
    }
}

impl Step for BrewStep<'_> {
    fn title(&self) -> String {
        "install tools with Homebrew".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        let (prefix, owner) = self.prefix()?;
        let missing = self.missing(&prefix);
        Ok(if missing.is_empty() {
            Found::Ready(format!("{} tools of {owner}'s are there", self.names.len()))
        } else {
            Found::Missing(format!("missing: {}", missing.join(", ")))
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        let (prefix, owner) = self.prefix()?;
        let tools = &self.host.tools;
        let brew = prefix.join("bin/brew");
        let path = format!("PATH={}/bin:/usr/bin:/bin:/usr/sbin:/sbin", prefix.display());
        tools
            .command(SUDO)
            .args(["-n", "-H", "-u", &owner, "--", "/usr/bin/env", &path])
            .args(["HOMEBREW_NO_INSTALL_UPGRADE=1", "HOMEBREW_NO_ENV_HINTS=1"])
            .args(["HOMEBREW_FORBID_PACKAGES_FROM_PATHS=1", "NONINTERACTIVE=1"])
            .arg(brew)
            .args(["install", "--formula", "--"])
            .args(self.missing(&prefix))
            .limit(INSTALL_TIMEOUT)
            .run_ok()?;
        Ok(())
    }

    fn remedy(&self) -> Option<String> {
        Some(
            "run the same `brew install` as the owner of Homebrew, and read what it says"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{BadLine, parse_brewfile};

    #[test]
    fn a_brewfile_is_names_and_nothing_that_runs() {
        let text = "# tools\nbrew \"cocoapods\"\nbrew 'python@3.13' # a version\n\n";
        assert_eq!(parse_brewfile(text).unwrap(), ["cocoapods", "python@3.13"]);
        for bad in [
            "tap \"acme/tools\"",
            "cask \"xcodes\"",
            "system \"touch /tmp/x\"",
            "brew \"acme/tools/x\"",
            "brew \"x\", args: [\"HEAD\"]",
            "brew \"-x\"",
            "brew \"x.rb\"",
            "brew \"#{`id`}\"",
            "brew x",
        ] {
            let found = parse_brewfile(&format!("brew \"jq\"\n{bad}\n"));
            assert_eq!(found, Err(BadLine { line: 2 }), "{bad}");
        }
    }
}
