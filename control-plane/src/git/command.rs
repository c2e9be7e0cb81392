//! Environment and settings that `git` runs with. Pure.
//!
//! Threat: a setting of the machine or of its administrator (`~/.gitconfig`, `GIT_*`) could run a program,
//! send a credential elsewhere or allow a transport. So the environment is made from nothing, no file of
//! settings is read but the mirror's own, and every transport is off but the one that is needed. Settings
//! go in the environment, never as arguments.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables of the server that git gets as well: ways out of the network, and whom to trust there.
const PASSED_ON: [&str; 10] = [
    "PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

/// Defects of old commits that hosts take, and that harm nobody.
const HARMLESS: [&str; 4] =
    ["missingSpaceBeforeDate", "zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeEmail"];

/// A call of git.
#[derive(Clone, Debug)]
pub(super) struct GitCall {
    /// Subcommand, for messages.
    pub(super) name: &'static str,
    pub(super) args: Vec<OsString>,
    pub(super) directory: PathBuf,
    /// Settings, for this call alone.
    pub(super) settings: Vec<(String, String)>,
    pub(super) variables: Vec<(&'static str, OsString)>,
    pub(super) stdin: Vec<u8>,
}

impl GitCall {
    /// Begins a call in a directory. It reaches no remote.
    pub(super) fn new(name: &'static str, directory: &Path) -> Self {
        let settings = [
            ("protocol.allow", "never"),
            ("http.followRedirects", "false"),
            ("credential.helper", ""),
            ("core.askPass", ""),
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("fetch.recurseSubmodules", "false"),
            ("submodule.recurse", "false"),
            ("transfer.fsckObjects", "true"),
            ("transfer.bundleURI", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("pack.threads", "1"),
            ("http.lowSpeedLimit", "1000"),
            ("http.lowSpeedTime", "60"),
            ("safe.directory", "*"),
        ];
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let harmless = HARMLESS.iter().map(|of| (format!("fetch.fsck.{of}"), "ignore".to_owned()));
        Self {
            name,
            args: vec![name.into()],
            directory: directory.to_owned(),
            settings: settings.chain(harmless).collect(),
            variables: Vec::new(),
            stdin: Vec::new(),
        }
    }

    /// Adds arguments.
    pub(super) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a setting.
    pub(super) fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Returns the whole environment, from what the server itself has.
    pub(super) fn environment(
        &self,
        own: impl Fn(&str) -> Option<OsString>,
    ) -> Vec<(OsString, OsString)> {
        let mut all: Vec<(OsString, OsString)> = PASSED_ON
            .iter()
            .filter_map(|name| Some(((*name).into(), own(name).filter(|value| !value.is_empty())?)))
            .collect();
        let fixed = [
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS", ""),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
        ];
        all.extend(fixed.map(|(name, value)| (name.into(), value.into())));
        all.push(("GIT_CONFIG_COUNT".into(), self.settings.len().to_string().into()));
        for (index, (key, value)) in self.settings.iter().enumerate() {
            all.push((format!("GIT_CONFIG_KEY_{index}").into(), key.into()));
            all.push((format!("GIT_CONFIG_VALUE_{index}").into(), value.into()));
        }
        all.extend(self.variables.iter().map(|(name, value)| ((*name).into(), value.clone())));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::GitCall;

    #[test]
    fn git_gets_no_variable_of_the_server_but_those_that_are_listed() {
        let own = |name: &str| match name {
            "PATH" => Some("/usr/bin".into()),
            "https_proxy" => Some("http://proxy:3128".into()),
            _ => Some("evil".into()).filter(|_| name.starts_with("GIT_SSH")),
        };
        let call = GitCall::new("fetch", Path::new("/m")).set("protocol.https.allow", "always");
        let environment: BTreeMap<String, String> = call
            .environment(own)
            .into_iter()
            .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
            .collect();
        assert_eq!(environment["PATH"], "/usr/bin");
        assert_eq!(environment["https_proxy"], "http://proxy:3128");
        assert_eq!(environment["GIT_CONFIG_GLOBAL"], "/dev/null");
        assert!(!environment.values().any(|value| value == "evil"));
        let count: usize = environment["GIT_CONFIG_COUNT"].parse().unwrap();
        let setting = |index: usize| {
            (
                &*environment[&format!("GIT_CONFIG_KEY_{index}")],
                &*environment[&format!("GIT_CONFIG_VALUE_{index}")],
            )
        };
        assert_eq!(setting(0), ("protocol.allow", "never"));
        assert_eq!(setting(count - 1), ("protocol.https.allow", "always"));
        assert!((0..count).any(|index| setting(index) == ("http.followRedirects", "false")));
    }
}
