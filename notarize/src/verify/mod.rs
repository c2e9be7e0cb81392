//! Stage `verify`: everything that a release claims, read back from what is published.
//!
//! Every slice of every executable in the package is looked at, not the file as a whole: a tool
//! that is asked about a universal binary answers for one architecture. The code of the package is
//! taken out of its payload, so what is verified is what users get. On a Mac, Apple's own tools are
//! asked as well.

pub mod macho;
pub mod package;
pub mod signature;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::bundle::{Signed, signed_items};
use crate::credentials::{Identity, Purpose};
use crate::notary::Submission;
use crate::places::{ARCHITECTURES, Release, fresh};
use crate::process::{command, run_tool};
use signature::{ADHOC, RUNTIME, Signature, Special};

/// Files that a component installs, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Findings, for the manifest and for people; `verify/findings.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Set if Apple's linker made every slice. Others are linked against our stubs.
    pub apple_linker: bool,
    /// Set if the code is signed with a certificate.
    pub signed: bool,
    /// The team, of certificates by Apple.
    pub team: Option<String>,
    /// Set if Apple accepted it.
    pub notarized: bool,
    /// A line for each slice.
    pub slices: Vec<String>,
}

impl Findings {
    /// Those of this release.
    ///
    /// # Errors
    ///
    /// It was not verified.
    pub fn read(release: &Release) -> Result<Self> {
        let path = release.work("verify").join("findings.json");
        let text =
            std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Returns the reason why users should not run this; `None`: it may be released.
    #[must_use]
    pub fn for_testing(&self) -> Option<&'static str> {
        if !self.apple_linker {
            Some("it is linked against stubs, not with Apple's SDK")
        } else if !self.signed {
            Some("it is signed ad hoc")
        } else if !self.notarized {
            Some("Apple has not accepted it")
        } else {
            None
        }
    }
}

/// Reads package and bundle back.
///
/// # Errors
///
/// Something is not as it is claimed.
pub fn verify_release(release: &Release) -> Result<String> {
    let bytes = std::fs::read(release.package())
        .with_context(|| format!("could not read {}", release.package().display()))?;
    let identity = release.credentials.identity(Purpose::Application)?;
    let expected = if release.apple { None } else { Some(identity.as_ref()) };
    let contents = package::read(release, bytes).context("the package")?;
    let mut findings = Findings {
        apple_linker: true,
        signed: true,
        team: None,
        notarized: Submission::read(release)?.accepted(),
        slices: Vec::new(),
    };
    for item in signed_items(release) {
        let files = contents.get(item.component).context("a component is missing")?;
        verify_item(release, item, files, expected, &mut findings)
            .with_context(|| item.path.to_owned())?;
    }
    everything_is_known(release, &contents)?;
    stapled_bundle(release, &contents)?;
    if release.apple {
        ask_apple(release, &findings)?;
    }
    let work = release.work("verify");
    fresh(&work)?;
    std::fs::write(work.join("findings.json"), serde_json::to_vec_pretty(&findings)?)?;
    let slices = findings.slices.len();
    Ok(match findings.for_testing() {
        None => format!("{slices} slices are as they should be"),
        Some(why) => format!("{slices} slices are as they should be; for testing: {why}"),
    })
}

/// One thing that is signed, in each of its slices.
fn verify_item(
    release: &Release,
    item: &Signed,
    files: &Files,
    identity: Option<Option<&Identity>>,
    findings: &mut Findings,
) -> Result<()> {
    let below = |path: &str| files.get(format!("{}/{path}", item.path).trim_end_matches('/'));
    let file = below(item.executable).context("the executable is missing")?;
    let slices = macho::read_slices(file)?;
    ensure!(slices.len() == ARCHITECTURES.len(), "{} architectures", slices.len());
    for (_, architecture, minimum) in ARCHITECTURES {
        let slice = slices.iter().find(|slice| slice.architecture == architecture);
        let slice = slice.with_context(|| format!("{architecture} is missing"))?;
        let context = || format!("the slice for {architecture}");
        ensure!(
            slice.minimum == minimum,
            "{}: it needs macOS {}.{}",
            context(),
            slice.minimum.0,
            slice.minimum.1
        );
        let signature = Signature::read(slice).with_context(context)?;
        check_signature(item, &signature).with_context(context)?;
        if let Some(identity) = identity {
            let team = identity.and_then(Identity::team);
            ensure!(signature.team == team, "{}: the team is {:?}", context(), signature.team);
            let is_adhoc = signature.flags & ADHOC != 0;
            ensure!(
                is_adhoc == identity.is_none() && signature.cms == identity.is_some(),
                "{}: it is not signed by who should have",
                context()
            );
        }
        if !item.executable.is_empty() {
            for (path, slot) in [
                ("Contents/Info.plist", Special::InfoPlist),
                ("Contents/_CodeSignature/CodeResources", Special::Resources),
            ] {
                let content = below(path).with_context(|| format!("{path} is missing"))?;
                ensure!(signature.binds(slot, content), "{}: {path} is not bound", context());
            }
            check_version(below("Contents/Info.plist"), item, &release.version)?;
        }
        findings.apple_linker &= slice.apple_linker;
        findings.signed &= signature.cms && signature.flags & ADHOC == 0;
        findings.team = signature.team.clone();
        findings.slices.push(format!(
            "{} {architecture} macOS {}.{} {} team={} flags={:#x} cdhash={}",
            item.path,
            minimum.0,
            minimum.1,
            signature.identifier,
            signature.team.as_deref().unwrap_or("none"),
            signature.flags,
            crate::hash::hex(&signature.cdhash),
        ));
    }
    Ok(())
}

/// Checks the rules that hold for every signature.
fn check_signature(item: &Signed, signature: &Signature) -> Result<()> {
    ensure!(signature.pages_match, "the code is not what was signed");
    ensure!(signature.identifier == item.identifier, "the identifier is {}", signature.identifier);
    ensure!(signature.flags & RUNTIME != 0, "it has not the hardened runtime");
    let wanted: plist::Value = plist::from_bytes(item.entitlements.as_bytes())?;
    let found = match &signature.entitlements {
        Some(text) => plist::from_bytes(text.as_bytes())?,
        None => plist::Value::Dictionary(plist::Dictionary::new()),
    };
    ensure!(found == wanted, "it has other entitlements: {found:?}");
    Ok(())
}

fn check_version(plist: Option<&Vec<u8>>, item: &Signed, version: &str) -> Result<()> {
    let plist: plist::Dictionary = plist::from_bytes(plist.map(Vec::as_slice).unwrap_or_default())?;
    for (key, wanted) in [
        ("CFBundleIdentifier", item.identifier),
        ("CFBundleVersion", version),
        ("CFBundleShortVersionString", version),
        ("LSMinimumSystemVersion", "10.15"),
    ] {
        let found = plist.get(key).and_then(plist::Value::as_string);
        ensure!(found == Some(wanted), "{key} is {found:?}");
    }
    Ok(())
}

/// Threat: an executable that nobody looked at. Each Mach-O in the package is one that is known.
fn everything_is_known(release: &Release, contents: &BTreeMap<String, Files>) -> Result<()> {
    for (component, files) in contents {
        for (path, _) in files.iter().filter(|(_, bytes)| macho::is_macho(bytes)) {
            let known = signed_items(release).any(|item| {
                let executable = format!("{}/{}", item.path, item.executable);
                item.component == component && executable.trim_end_matches('/') == path
            });
            ensure!(known, "{path} in {component} is code that nobody expects");
        }
    }
    Ok(())
}

/// The bundle of the update archive is that of the package; a ticket may have come to it.
fn stapled_bundle(release: &Release, contents: &BTreeMap<String, Files>) -> Result<()> {
    let prefix = crate::bundle::AGENT_BUNDLE;
    let agent = contents.get("agent").context("the agent is missing")?;
    let bundle = release.stapled_bundle();
    let mut ticket = false;
    for node in crate::tree::read(&bundle)? {
        if let crate::tree::Kind::File(bytes) = &node.kind {
            if node.path == "Contents/CodeResources" {
                ticket = true;
                continue;
            }
            let same = agent.get(&format!("{prefix}/{}", node.path)) == Some(bytes);
            ensure!(same, "{} is not the same in package and update", node.path);
        }
    }
    let accepted = Submission::read(release)?.accepted();
    ensure!(ticket == accepted, "the ticket of the update's bundle is missing, or of another");
    Ok(())
}

/// Checks with tools that only a Mac has.
fn ask_apple(release: &Release, findings: &Findings) -> Result<()> {
    for item in signed_items(release) {
        let path = release.work("sign").join(item.component).join(item.path);
        for (_, architecture, _) in ARCHITECTURES {
            let words = ["--verify", "--strict", "--verbose=2", "--architecture", architecture];
            run_tool(command("/usr/bin/codesign", &words).arg(&path))?;
        }
    }
    if findings.for_testing().is_none() {
        let package = release.package().display().to_string();
        run_tool(&mut command("/usr/sbin/pkgutil", &["--check-signature", &package]))?;
        run_tool(&mut command(
            "/usr/sbin/spctl",
            &["--assess", "--type", "install", "-vv", &package],
        ))?;
        run_tool(&mut command("/usr/bin/xcrun", &["stapler", "validate", &package]))?;
    }
    Ok(())
}
