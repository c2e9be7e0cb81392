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

use crate::choices::UpdateChoices;
use crate::hash;
use crate::places::{ARCHITECTURES, Release};
use crate::verify::Findings;

/// The channel of a build that nobody should depend on.
pub const TESTING: &str = "testing";

const DAY: u64 = 24 * 60 * 60;

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
    let channel = channel(&release.update, findings.for_testing())?;
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
fn channel(choices: &UpdateChoices, for_testing: Option<&str>) -> Result<String> {
    match (choices.channel.as_deref(), for_testing) {
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
    let choices = &release.update;
    Ok(Manifest {
        schema: SCHEMA,
        channel: channel.to_owned(),
        version: release.version.clone(),
        counter: created_s,
        created_s,
        expires_s: created_s.saturating_add(choices.expires_days.saturating_mul(DAY)),
        rollout: choices.rollout,
        minimum_agent: choices.minimum_agent.clone(),
        linked_against_stubs: !findings.apple_linker,
        notes_url: choices.notes_url.clone(),
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
    use super::channel;
    use crate::choices::UpdateChoices;

    fn choices(channel: Option<&str>) -> UpdateChoices {
        UpdateChoices {
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
        assert_eq!(channel(&choices(None), stubs).unwrap(), "testing");
        assert_eq!(channel(&choices(Some("nightly")), stubs).unwrap(), "nightly");
        let error = channel(&choices(Some("stable")), stubs).unwrap_err().to_string();
        assert!(error.contains("linked against stubs") && error.contains("hint:"), "{error}");
        assert_eq!(channel(&choices(None), None).unwrap(), "stable");
    }
}
