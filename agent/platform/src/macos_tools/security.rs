//! `security(1)`: keychains of tasks.
//!
//! Every command with a secret goes to `security -i` on its standard input, one command for each
//! process: the exit status of an interactive run is that of its last command. How a line is split
//! into words, and that it may have 4096 bytes, is in Apple's published source of the tool
//! (SecurityTool, `split_line` and `MAX_LINE_LEN` in security.c).
//!
//! The tool is used instead of the library since an item that a program of ours imports trusts that
//! program, and the partition list that lets `codesign` use a key without a question on the screen
//! is set by the tool alone; there is no public call for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::command::{Output, Tools};

const SECURITY: &str = "/usr/bin/security";

/// The tool's own limit for a line, with its line feed and the zero at its end.
const MAX_LINE: usize = 4096 - 2;

/// Timeout of a command. It is short: one that asks a question nobody sees waits for ever.
const LIMIT: Duration = Duration::from_secs(20);

/// Programs that may use an imported key without a question.
const TRUSTED: [&str; 4] =
    ["/usr/bin/codesign", "/usr/bin/security", "/usr/bin/productbuild", "/usr/bin/productsign"];

/// Prefix of a task's keychain, before its number. Whatever is called so is ours.
pub const PREFIX: &str = "russet-task-";

/// Reason why a keychain could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// The password of a `.p12` file is wrong, or it was written in a way that macOS does not read.
    #[error(
        "the password of the .p12 file is wrong, or the file is encrypted in a way that macOS can \
         not read\n  hint: export it anew from Keychain Access, or with `openssl pkcs12 -export \
         -legacy`"
    )]
    WrongPassword,
    /// The keychain is locked, or wants to ask somebody (-25308).
    #[error(
        "the keychain is locked or asks for a permission that nobody can give here (-25308)\n  \
         hint: the task needs a security session of its own; see docs/credentials.md"
    )]
    NoInteraction,
    /// There is a keychain of this name already (-25296).
    #[error("a keychain of this name exists already (-25296)")]
    Exists,
    /// There is no such keychain (-25294).
    #[error("there is no such keychain (-25294)")]
    Missing,
    /// A word cannot be written in a line of the tool.
    #[error("a password or a path has a line feed or a zero byte, or is too long")]
    Unwritable,
    /// A setting reads back as another one.
    #[error(
        "`security` did not store the {0} of the task, so nothing would be signed\n  hint: \
         ~/Library/Preferences must be a directory that the slot's user can write to"
    )]
    NotStored(&'static str),
    /// Anything else.
    #[error("`security {command}` failed: {said}")]
    Other {
        /// The command, without its arguments.
        command: String,
        /// Message of the tool.
        said: String,
    },
}

impl SecurityError {
    /// Interprets the tool's message.
    fn of(command: &str, said: &str) -> Self {
        let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
        if says(&["MAC verification failed", "passphrase you entered is not correct"]) {
            return Self::WrongPassword;
        }
        if says(&["User interaction is not allowed", "-25308"]) {
            return Self::NoInteraction;
        }
        if says(&["keychain with the same name already exists"]) {
            return Self::Exists;
        }
        if says(&["keychain could not be found"]) {
            return Self::Missing;
        }
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::Other { command: command.to_owned(), said }
    }
}

/// Returns true for the same path: `security` prints one below `/private/var` that was given below
/// `/var`, which is a link to it.
fn is_same_keychain(printed: &Path, given: &Path) -> bool {
    let is_behind_link = |rest: &Path| Path::new("/").join(rest) == given;
    printed == given || printed.strip_prefix("/private").is_ok_and(is_behind_link)
}

/// A word of a line of `security -i`: in quotes, where a backslash takes the next character as it
/// is. `None`: no line can hold it.
fn quote_argument(word: &str) -> Option<Zeroizing<String>> {
    if word.contains(['\n', '\r', '\0']) {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(word.len() * 2 + 2));
    text.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Some(text)
}

/// A line of `security -i` with its line feed.
fn command_line(words: &[&str]) -> Result<Zeroizing<String>, SecurityError> {
    let mut text = Zeroizing::new(String::new());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&quote_argument(word).ok_or(SecurityError::Unwritable)?);
    }
    if text.len() > MAX_LINE {
        return Err(SecurityError::Unwritable);
    }
    text.push('\n');
    Ok(text)
}

/// The paths that `security list-keychains` prints: one a line, indented, in quotes.
#[must_use]
pub fn parse_keychains(output: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.trim().strip_prefix('"')?.strip_suffix('"').map(PathBuf::from);
    output.lines().filter_map(path).collect()
}

/// Identities that `security find-identity` lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// Names of all that match.
    pub matching: Vec<String>,
    /// Number of those that are valid: their chain is there and they have not expired.
    pub valid: usize,
}

/// Reads what `security find-identity` prints.
#[must_use]
pub fn parse_identities(output: &str) -> Identities {
    let mut found = Identities::default();
    let mut counts_valid = false;
    for line in output.lines().map(str::trim) {
        if line.starts_with("Valid identities only") {
            counts_valid = true;
        }
        // `1) 0123…CDEF "Apple Distribution: Acme (TEAM)" (CSSMERR_TP_CERT_EXPIRED)`
        let Some((number, rest)) = line.split_once(") ") else { continue };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) || number.is_empty() {
            continue;
        }
        let Some(name) = rest.split('"').nth(1) else { continue };
        if counts_valid {
            found.valid += 1;
        } else {
            found.matching.push(name.to_owned());
        }
    }
    found
}

/// Contents of a provisioning profile, as `security cms -D` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its UUID, which is the name that Xcode looks for.
    pub uuid: String,
    /// Its name, for people.
    pub name: String,
}

/// Reads the property list of a provisioning profile. `None`: it is none, or its UUID would be a
/// strange name for a file.
#[must_use]
pub fn parse_profile(output: &[u8]) -> Option<Profile> {
    let value = plist::Value::from_reader(std::io::Cursor::new(output)).ok()?;
    let all = value.as_dictionary()?;
    let text = |key: &str| all.get(key).and_then(plist::Value::as_string);
    let uuid = text("UUID")?;
    let is_name = uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = text("Name").unwrap_or_default().to_owned();
    (is_name && !uuid.is_empty()).then(|| Profile { uuid: uuid.to_owned(), name })
}

/// The keychains of the user whose home this is.
#[derive(Clone, Debug)]
pub struct Keychains {
    tools: Tools,
    home: PathBuf,
}

impl Keychains {
    /// The keychains of the user whose home this is.
    #[must_use]
    pub fn new(tools: Tools, home: &Path) -> Self {
        Self { tools, home: home.to_owned() }
    }

    /// Makes a keychain for a task: unlocked, without a time after which it locks itself, the
    /// default and the first to be searched, with these identities, which `codesign` may use
    /// without a question. `.p12` files are read from their paths.
    ///
    /// # Errors
    ///
    /// A step failed. What was made is deleted again.
    pub fn make(
        &self,
        path: &Path,
        password: &Secret,
        identities: &[(PathBuf, &Secret)],
    ) -> Result<Identities, SecurityError> {
        self.sweep()?;
        let made = self.fill(path, password, identities);
        if made.is_err() {
            // The error that is told is the first one.
            drop(self.delete(path));
        }
        made
    }

    fn fill(
        &self,
        path: &Path,
        password: &Secret,
        identities: &[(PathBuf, &Secret)],
    ) -> Result<Identities, SecurityError> {
        let keychain = path_text(path)?;
        let password = password.expose();
        let before = self.search_list()?;
        self.run(&["create-keychain", "-p", password, keychain])?;
        // Without options: it locks neither when the Mac sleeps nor after a time.
        self.run(&["set-keychain-settings", keychain])?;
        self.run(&["unlock-keychain", "-p", password, keychain])?;
        for (p12, secret) in identities {
            let mut words = vec![
                "import",
                path_text(p12)?,
                "-k",
                keychain,
                "-f",
                "pkcs12",
                "-P",
                secret.expose(),
            ];
            words.extend(TRUSTED.iter().flat_map(|program| ["-T", *program]));
            self.run(&words)?;
        }
        if !identities.is_empty() {
            // Else codesign asks on a screen that nobody sees, and waits or fails.
            let list = "apple-tool:,apple:,codesign:";
            self.run(&["set-key-partition-list", "-S", list, "-s", "-k", password, keychain])?;
        }
        let mut list = vec!["list-keychains", "-d", "user", "-s", keychain];
        for other in &before {
            list.push(path_text(other)?);
        }
        self.run(&list)?;
        self.run(&["default-keychain", "-d", "user", "-s", keychain])?;
        self.check_stored(path)?;
        let found = self.run(&["find-identity", keychain])?;
        Ok(self::parse_identities(&found.text()))
    }

    /// Deletes a keychain, which takes it out of the search list. One that is not there is fine.
    ///
    /// # Errors
    ///
    /// It is still there.
    pub fn delete(&self, path: &Path) -> Result<(), SecurityError> {
        match self.run(&["delete-keychain", path_text(path)?]) {
            Ok(_) | Err(SecurityError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes what earlier tasks left.
    ///
    /// # Errors
    ///
    /// The search list cannot be read, or one is still there.
    pub fn sweep(&self) -> Result<(), SecurityError> {
        let is_ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
        };
        self.search_list()?
            .iter()
            .filter(|path| is_ours(path))
            .try_for_each(|path| self.delete(path))
    }

    fn search_list(&self) -> Result<Vec<PathBuf>, SecurityError> {
        Ok(parse_keychains(&self.run(&["list-keychains", "-d", "user"])?.text()))
    }

    /// Reads search list and default keychain back, each in a new process.
    ///
    /// Both commands exit with 0 when nothing was stored: they open
    /// `~/Library/Preferences/com.apple.security.plist` for writing, do not make the directory, and
    /// ignore the error (Security, `DLDBListCFPref.cpp`, `writePropertyList`).
    fn check_stored(&self, keychain: &Path) -> Result<(), SecurityError> {
        let default = self.run(&["default-keychain", "-d", "user"])?.text();
        for (what, paths) in
            [("search list", self.search_list()?), ("default keychain", parse_keychains(&default))]
        {
            if !paths.iter().any(|path| is_same_keychain(path, keychain)) {
                return Err(SecurityError::NotStored(what));
            }
        }
        Ok(())
    }

    /// Parses a provisioning profile.
    ///
    /// # Errors
    ///
    /// It is no profile.
    pub fn profile(&self, path: &Path) -> Result<Profile, SecurityError> {
        let output = self.run(&["cms", "-D", "-i", path_text(path)?])?;
        parse_profile(&output.stdout).ok_or_else(|| SecurityError::Other {
            command: "cms".to_owned(),
            said: format!("{} is no provisioning profile", path.display()),
        })
    }

    fn run(&self, words: &[&str]) -> Result<Output, SecurityError> {
        let command = words.first().copied().unwrap_or_default();
        let input = command_line(words)?;
        let other = |said: String| SecurityError::Other { command: command.to_owned(), said };
        let output = self
            .tools
            .command(SECURITY)
            .arg("-i")
            .env("HOME", &self.home)
            .stdin(input.as_bytes())
            .limit(LIMIT)
            .run()
            .map_err(|error| other(error.to_string()))?;
        if output.status.success() {
            return Ok(output);
        }
        Err(SecurityError::of(command, &String::from_utf8_lossy(&output.stderr)))
    }
}

fn path_text(path: &Path) -> Result<&str, SecurityError> {
    path.to_str().ok_or(SecurityError::Unwritable)
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
