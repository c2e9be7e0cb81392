//! The job of a control plane for systemd: the committed file with this installation's paths. Pure.

use std::path::PathBuf;

use crate::install::error::InstallError;
use russet_platform::server_layout::ServerLayout;

/// systemd's file, as it is.
const UNIT_FILE: &str = include_str!("../../../../../systemd/russet-server.service");

/// Ports below this one are for those who have CAP_NET_BIND_SERVICE.
const FIRST_FREE_PORT: u16 = 1024;

/// Facts that the job's file depends on.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Options of `russet server`, with the data directory.
    pub options: Vec<String>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Other directories that the server writes to.
    pub writable: Vec<PathBuf>,
    /// Port that it listens on.
    pub port: u16,
}

impl Unit {
    /// Returns the arguments of `russet`.
    pub fn arguments(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::once("server".to_owned()).chain(self.options.iter().cloned())
    }

    /// Returns true where the server needs a right to its port.
    #[must_use]
    pub fn has_low_port(&self) -> bool {
        (1..FIRST_FREE_PORT).contains(&self.port)
    }

    /// Returns the unit's text.
    #[cfg_attr(
        all(target_os = "macos", not(test)),
        expect(dead_code, reason = "launchd's file is another")
    )]
    pub(super) fn systemd_file(
        &self,
        layout: &ServerLayout,
        user: &str,
    ) -> Result<String, InstallError> {
        let program = layout.executable().display().to_string();
        let words = std::iter::once(program).chain(self.arguments());
        let words = words.map(|word| quote_word(&word)).collect::<Option<Vec<_>>>();
        let words = words.ok_or_else(|| unwritable(layout))?;
        let mut lines = Vec::new();
        for line in UNIT_FILE.lines() {
            match line.split_once('=') {
                Some(("ExecStart", _)) => {
                    lines.push(format!("ExecStart={}", words.join(" ")));
                    lines.extend(self.reload_line());
                }
                Some((key @ ("User" | "Group"), _)) => lines.push(format!("{key}={user}")),
                Some(("StateDirectory" | "StateDirectoryMode", _)) if self.is_elsewhere() => {}
                Some(("CapabilityBoundingSet" | "AmbientCapabilities", _))
                    if self.has_low_port() =>
                {
                    let key = line.split('=').next().unwrap_or_default();
                    lines.push(format!("{key}=CAP_NET_BIND_SERVICE"));
                }
                // A right over ports counts in the first user namespace alone.
                Some(("PrivateUsers", _)) if self.has_low_port() => {}
                Some(("ProtectSystem", _)) => {
                    lines.push(line.to_owned());
                    lines.extend(self.writable_line(layout)?);
                }
                _ => lines.push(line.to_owned()),
            }
        }
        Ok(lines.join("\n") + "\n")
    }

    /// Without a certificate that could be read again the signal would end the server.
    fn reload_line(&self) -> Option<String> {
        let has_tls = self.options.iter().any(|option| option.starts_with("--tls-cert"));
        has_tls.then(|| "ExecReload=/bin/kill -HUP $MAINPID".to_owned())
    }

    /// Returns true where systemd does not make the data directory: it is not the usual one.
    fn is_elsewhere(&self) -> bool {
        self.data_dir != ServerLayout::default().data()
    }

    fn writable_line(&self, layout: &ServerLayout) -> Result<Option<String>, InstallError> {
        let data = self.is_elsewhere().then_some(&self.data_dir);
        let paths = data.into_iter().chain(&self.writable);
        let paths = paths.map(|path| quote_word(&path.display().to_string()));
        let paths = paths.collect::<Option<Vec<_>>>().ok_or_else(|| unwritable(layout))?;
        Ok((!paths.is_empty()).then(|| format!("ReadWritePaths={}", paths.join(" "))))
    }
}

fn unwritable(layout: &ServerLayout) -> InstallError {
    let what = "cannot have an option with a line break or another control character".to_owned();
    InstallError::InTheWay { path: layout.job(), what }
}

/// Quotes a word of a command line for systemd (systemd.service(5), "COMMAND LINES"; `%` as
/// systemd.unit(5) says, "SPECIFIERS"). `None`: it has a control character.
fn quote_word(word: &str) -> Option<String> {
    if word.chars().any(char::is_control) {
        return None;
    }
    let escaped =
        word.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$").replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    let is_bare = !word.is_empty() && word.chars().all(is_plain);
    Some(if is_bare { escaped } else { format!("\"{escaped}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(options: &[&str], data_dir: &str, port: u16) -> String {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let unit = Unit { options, data_dir: data_dir.into(), writable: Vec::new(), port };
        unit.systemd_file(&ServerLayout::default(), "russet-server").unwrap()
    }

    #[test]
    fn the_unit_of_the_usual_installation_is_the_committed_file() {
        let data = "/var/lib/russet-server";
        if cfg!(not(target_os = "macos")) {
            assert_eq!(unit(&["--data-dir", data], data, 8080), UNIT_FILE);
            let secure = unit(&["--data-dir", data, "--tls-cert", "/t.pem"], data, 8080);
            assert!(secure.contains("\nExecReload="), "{secure}");
        }
    }

    #[test]
    fn a_low_port_and_another_directory_loosen_what_they_need_to() {
        let low = unit(&["--listen", "0.0.0.0:443"], "/srv/ci data", 443);
        assert!(low.contains("\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"), "{low}");
        assert!(low.contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"), "{low}");
        assert!(low.contains("\nReadWritePaths=\"/srv/ci data\"\n"), "{low}");
        assert!(!low.contains("StateDirectory") && !low.contains("PrivateUsers"), "{low}");
    }

    #[test]
    fn options_are_words_to_systemd_whatever_is_in_them() {
        let text = unit(&["--mail-from", "A \"B\" $HOME 100% \\ <a@b>"], "/d", 0);
        let line = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        assert!(line.ends_with(r#"--mail-from "A \"B\" $$HOME 100%% \\ <a@b>""#), "{line}");
        let broken = Unit {
            options: vec!["a\nExecStartPre=/bin/sh".to_owned()],
            data_dir: "/d".into(),
            writable: Vec::new(),
            port: 0,
        };
        assert!(broken.systemd_file(&ServerLayout::default(), "u").is_err());
    }
}
