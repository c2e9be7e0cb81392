//! Keys of caches: text with templates, in the part of Go's template language that CircleCI shows.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::cache_key::{self, Mistake, Piece};
use sha2::{Digest as _, Sha256};

/// Facts that templates can name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// `.Branch`; empty for a tag.
    pub(super) branch: &'a str,
    /// `.Revision`.
    pub(super) revision: &'a str,
    /// `.BuildNum`.
    pub(super) number: u64,
    /// `epoch`: seconds since 1970.
    pub(super) epoch: u64,
    /// `.Environment.NAME`.
    pub(super) environment: &'a BTreeMap<String, String>,
}

/// Reason why a key has no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// A template is wrong: the template with its fault.
    #[error("{0}")]
    Template(Mistake),
    #[error("checksum of `{file}`: {source}")]
    Checksum { file: String, source: io::Error },
}

/// Fills the templates of a key in. `hash` gives the checksum of a file.
///
/// # Errors
/// A template is wrong, or a file of `checksum` cannot be read.
pub(super) fn render_template(
    key: &str,
    facts: Facts<'_>,
    hash: impl Fn(&str) -> io::Result<String>,
) -> Result<String, KeyError> {
    let mut out = String::new();
    for piece in cache_key::parse(key).map_err(KeyError::Template)? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Branch => out.push_str(facts.branch),
            Piece::Revision => out.push_str(facts.revision),
            Piece::BuildNum => out.push_str(&facts.number.to_string()),
            // There is one kind of key here, so nothing to tell apart; the text is Go's for what
            // is not there.
            Piece::CheckoutKey => out.push_str("<no value>"),
            Piece::Environment(name) => {
                out.push_str(facts.environment.get(name).map_or("<no value>", String::as_str));
            }
            Piece::Checksum(file) => match hash(&file) {
                Ok(sum) => out.push_str(&sum),
                Err(source) => return Err(KeyError::Checksum { file, source }),
            },
            Piece::Epoch => out.push_str(&facts.epoch.to_string()),
            Piece::Arch => out.push_str(&arch_name()),
        }
    }
    Ok(out)
}

/// `darwin-arm64`, `linux-amd64`: the names that Go has for system and processor.
fn arch_name() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{processor}")
}

/// The SHA-256 of a file, as `checksum` shows it.
///
/// # Errors
/// It cannot be read.
pub(super) fn file_checksum(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(STANDARD.encode(hash.finalize())),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, file_checksum, render_template};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rendered(key: &str) -> Result<String, String> {
        let environment = BTreeMap::from([("A_1".to_owned(), "x}}y".to_owned())]);
        let facts = Facts {
            branch: "main",
            revision: "abc",
            number: 7,
            epoch: 99,
            environment: &environment,
        };
        render_template(key, facts, |file| match file {
            "none" => Err(std::io::Error::other("it is not there")),
            file => Ok(format!("sum({file})")),
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn templates_are_filled_in() {
        for (key, wanted) in [
            ("plain", "plain"),
            ("v1-{{ .Branch }}-{{ .Revision }}-{{ .BuildNum }}", "v1-main-abc-7"),
            ("{{.Environment.A_1}}-{{ .Environment.NONE }}", "x}}y-<no value>"),
            (
                "a-{{ checksum \"Gemfile.lock\" }}-{{checksum `b c`}}",
                "a-sum(Gemfile.lock)-sum(b c)",
            ),
            ("{{ checksum \"a}}b\" }}", "sum(a}}b)"),
            ("{{ epoch }}", "99"),
            ("a {{- .Branch -}} b", "amainb"),
            ("a {{ .CheckoutKey.Name }}", "a <no value>"),
            ("} } }}", "} } }}"),
        ] {
            assert_eq!(rendered(key).as_deref(), Ok(wanted), "{key}");
        }
        let arch = rendered("{{ arch }}").unwrap();
        assert!(arch.starts_with("linux-") || arch.starts_with("darwin-"), "{arch}");
    }

    #[test]
    fn what_is_no_template_is_named() {
        for (key, wanted) in [
            ("a-{{ .Branch", "has no `}}`"),
            ("{{ .Nothing }}", "there is no template `{{ .Nothing }}`"),
            ("{{ checksum none }}", "write `checksum \"file\"`"),
            ("{{ checksum \"none\" }}", "checksum of `none`: it is not there"),
            ("{{ }}", "there is no template"),
            ("{{ .Environment. }}", "there is no template"),
        ] {
            let error = rendered(key).unwrap_err();
            assert!(error.contains(wanted), "{key}: {error}");
        }
    }

    #[test]
    fn the_checksum_is_sha_256_in_base64() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "hello\n").unwrap();
        // echo hello | openssl dgst -sha256 -binary | base64
        assert_eq!(file_checksum(&file).unwrap(), "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=");
        file_checksum(dir.path()).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_key_makes_it_panic(key in "[a-z{}\"`\\\\. -]{0,40}") {
            drop(rendered(&key));
        }
    }
}
