//! Stage `manifest`: what agents read before they update themselves, with its signature.
//!
//! The form is of `protocol`, which the agent reads it with. Its counter is the time of the
//! release, so it rises by itself. A build that is only for testing never gets into the stable
//! channel: not here, and an agent refuses one that is linked against stubs as well.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use russet_protocol::manifest::{
    Artifact, Envelope, FILE_NAME, Manifest, Platform, SCHEMA, STABLE, Signature, key_id,
    signed_bytes,
};

use crate::hash;
use crate::places::{ARCHITECTURES, Release};
use crate::verify::Findings;

/// The channel of a build that nobody should depend on.
pub const TESTING: &str = "testing";

const DAY: u64 = 24 * 60 * 60;

/// Choices of the release's owner about its update.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Wishes {
    /// Channel that the manifest is for [default: stable, or testing for what is only for testing]
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,

    /// For how many machines of a thousand the update is
    #[arg(long, value_name = "0..1000", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub rollout: u16,

    /// Validity of the manifest, in days
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub expires_days: u64,

    /// The oldest agent that may update itself to this one
    #[arg(long, value_name = "X.Y.Z", value_parser = crate::places::checked_version)]
    pub minimum_agent: Option<String>,

    /// URL of the release notes
    #[arg(long, value_name = "URL")]
    pub notes_url: Option<String>,
}

/// Returns the files that the stage makes.
#[must_use]
pub fn output_paths(release: &Release) -> Vec<PathBuf> {
    vec![release.out.join(FILE_NAME)]
}

/// Returns a text that changes with the signing key.
///
/// # Errors
///
/// The key cannot be used.
pub fn signer_label(release: &Release) -> Result<String> {
    Ok(signing_key(release)?.map(|key| key_name(&key)).transpose()?.unwrap_or_default())
}

/// Writes and signs it.
///
/// # Errors
///
/// It is for testing and the stable channel was asked for, or something cannot be read or written.
pub fn write(release: &Release) -> Result<String> {
    let findings = Findings::read(release)?;
    let channel = channel(&release.wishes, findings.for_testing())?;
    let manifest = describe_release(release, &findings, &channel)?;
    let payload = serde_json::to_string(&manifest)?;
    let mut signatures = Vec::new();
    if let Some(key) = signing_key(release)? {
        let signature = STANDARD.encode(key.sign(&signed_bytes(&payload)));
        signatures.push(Signature { key: key_name(&key)?, signature });
    }
    let note = match signatures.first() {
        Some(signature) => format!("channel {channel}, signed by {}", signature.key),
        None => format!("channel {channel}, not signed, for testing: no update.pem was given"),
    };
    let envelope = Envelope { payload, signatures };
    let path = release.out.join(FILE_NAME);
    std::fs::write(&path, serde_json::to_vec_pretty(&envelope)?)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(note)
}

/// The channel that a build may be offered in.
fn channel(wishes: &Wishes, for_testing: Option<&str>) -> Result<String> {
    match (wishes.channel.as_deref(), for_testing) {
        (Some(STABLE), Some(why)) => {
            bail!("this is not for the channel `{STABLE}`: {why}\n  hint: `--channel {TESTING}`")
        }
        (Some(channel), _) => Ok(channel.to_owned()),
        (None, Some(_)) => Ok(TESTING.to_owned()),
        (None, None) => Ok(STABLE.to_owned()),
    }
}

fn describe_release(release: &Release, findings: &Findings, channel: &str) -> Result<Manifest> {
    let archive = release.archive();
    let size = std::fs::metadata(&archive)
        .with_context(|| format!("could not look at {}", archive.display()))?
        .len();
    let file = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let minimum = |(_, name, (major, minor)): &(&str, &str, (u32, u32))| {
        ((*name).to_owned(), format!("{major}.{minor}"))
    };
    let minimum_os = ARCHITECTURES.iter().map(minimum).collect();
    let artifact = Artifact { file, size, sha256: hash::hash_tree(&archive)?, minimum_os };
    let created_s = u64::try_from(release.time)?;
    let wishes = &release.wishes;
    Ok(Manifest {
        schema: SCHEMA,
        channel: channel.to_owned(),
        version: release.version.clone(),
        counter: created_s,
        created_s,
        expires_s: created_s.saturating_add(wishes.expires_days.saturating_mul(DAY)),
        rollout: wishes.rollout,
        minimum_agent: wishes.minimum_agent.clone(),
        linked_against_stubs: !findings.apple_linker,
        notes_url: wishes.notes_url.clone(),
        artifacts: BTreeMap::from([(Platform::MacosUniversal.as_str().to_owned(), artifact)]),
    })
}

fn signing_key(release: &Release) -> Result<Option<Ed25519KeyPair>> {
    let Some(der) = release.credentials.update_key()? else { return Ok(None) };
    // What openssl writes has no public key in it, which is then computed.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map(Some)
        .map_err(|error| anyhow!("update.pem is no Ed25519 key: {error}"))
}

fn key_name(key: &Ed25519KeyPair) -> Result<String> {
    let public: &[u8; 32] = key.public_key().as_ref().try_into()?;
    Ok(key_id(public))
}

#[cfg(test)]
mod tests {
    use super::{Wishes, channel};

    fn wishes(channel: Option<&str>) -> Wishes {
        Wishes {
            channel: channel.map(str::to_owned),
            rollout: 1000,
            expires_days: 90,
            minimum_agent: None,
            notes_url: None,
        }
    }

    #[test]
    fn what_is_for_testing_never_gets_into_the_stable_channel() {
        let stubs = Some("it is linked against stubs");
        assert_eq!(channel(&wishes(None), stubs).unwrap(), "testing");
        assert_eq!(channel(&wishes(Some("nightly")), stubs).unwrap(), "nightly");
        let error = channel(&wishes(Some("stable")), stubs).unwrap_err().to_string();
        assert!(error.contains("linked against stubs") && error.contains("hint:"), "{error}");
        assert_eq!(channel(&wishes(None), None).unwrap(), "stable");
    }
}
