//! Reasons why a wanted Xcode cannot be used, with what mends them.

use std::path::PathBuf;

use super::list::Flaw;

/// Reason why a wanted Xcode cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XcodeError {
    /// None of the installed ones is it.
    #[error(
        "Xcode {wanted} is not installed\n  hint: {}",
        describe_installed(directories, installed)
    )]
    Missing {
        /// As it was written.
        wanted: String,
        /// Places in which it was looked for.
        directories: Vec<PathBuf>,
        /// Those that are installed.
        installed: Vec<String>,
    },
    /// The path is not one of an application.
    #[error("there is no Xcode at {}\n  hint: name a version, or the path of an .app", .0.display())]
    NoBundle(PathBuf),
    /// It is there and not whole.
    #[error("{} is not whole: {flaw}\n  hint: if it is being copied, wait; else install it again", app.display())]
    Half {
        /// Its bundle.
        app: PathBuf,
        /// Missing part.
        flaw: Flaw,
    },
}

impl XcodeError {
    /// The error without its hint.
    #[must_use]
    pub fn reason(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    /// The hint alone.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = self.to_string();
        text.split_once("hint: ").map(|(_, hint)| hint.to_owned()).unwrap_or_default()
    }
}

fn describe_installed(directories: &[PathBuf], installed: &[String]) -> String {
    let places: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
    let installed = if installed.is_empty() { "none".to_owned() } else { installed.join(", ") };
    format!(
        "installed in {} are: {installed}; install it, or name another version in `xcode`",
        places.join(" and ")
    )
}
