//! The stages of a release, and what is known of those that are done.
//!
//! Each stage says what it depends on: settings, and paths of stages before it. When it has run,
//! `dist/.state/STAGE.json` has the hash of that and of what it made; the next run skips a stage for
//! which both are still so. `build` always runs: cargo knows better what has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::places::Release;
use crate::{archive, bundle, hash, manifest, notary, package, sbom, sign, source, staple, verify};

/// A stage, in the order of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Stage {
    /// Executables for both architectures.
    Build,
    /// Both architectures in one file.
    Universal,
    /// RussetAgent.app, Russet.app and what lies beside them.
    Bundle,
    /// Signatures of code.
    Sign,
    /// Component packages and the product.
    Package,
    /// The signature of the product.
    SignPackage,
    /// Apple's verdict.
    Notarize,
    /// Apple's ticket in bundle and package.
    Staple,
    /// Everything that was claimed, read back.
    Verify,
    /// Archive that agents update themselves with.
    Archive,
    /// List of the release's components (CycloneDX).
    Sbom,
    /// The signed manifest of the update.
    Manifest,
    /// SHA256SUMS.
    Sums,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 13] = [
        Self::Build,
        Self::Universal,
        Self::Bundle,
        Self::Sign,
        Self::Package,
        Self::SignPackage,
        Self::Notarize,
        Self::Staple,
        Self::Verify,
        Self::Archive,
        Self::Sbom,
        Self::Manifest,
        Self::Sums,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Universal => "universal",
            Self::Bundle => "bundle",
            Self::Sign => "sign",
            Self::Package => "package",
            Self::SignPackage => "sign-package",
            Self::Notarize => "notarize",
            Self::Staple => "staple",
            Self::Verify => "verify",
            Self::Archive => "archive",
            Self::Sbom => "sbom",
            Self::Manifest => "manifest",
            Self::Sums => "sums",
        }
    }

    /// Returns the files of earlier stages that it reads.
    fn reads(self, release: &Release) -> Vec<PathBuf> {
        let work = |stage: &str| release.work(stage);
        match self {
            Self::Build => vec![],
            Self::Universal => vec![work("build")],
            Self::Bundle => vec![work("universal")],
            Self::Sign => vec![work("bundle")],
            Self::Package => vec![work("sign")],
            Self::SignPackage => vec![package::product_path(release)],
            Self::Notarize => vec![work("sign-package")],
            Self::Staple => vec![work("sign-package"), work("sign"), work("notarize")],
            Self::Verify => vec![release.package(), work("staple")],
            Self::Archive => vec![work("staple"), work("verify")],
            Self::Sbom => vec![release.checkout.join("Cargo.lock")],
            Self::Manifest => vec![release.archive(), work("verify")],
            Self::Sums => {
                let results = [release.package(), release.archive(), sbom::sbom_path(release)];
                [results.to_vec(), manifest::output_paths(release)].concat()
            }
        }
    }

    /// Returns the files that it makes.
    fn makes(self, release: &Release) -> Vec<PathBuf> {
        match self {
            Self::Staple => vec![release.package(), release.work("staple")],
            Self::Archive => vec![release.archive()],
            Self::Sbom => vec![sbom::sbom_path(release)],
            Self::Manifest => manifest::output_paths(release),
            Self::Sums => vec![release.out.join("SHA256SUMS")],
            _ => vec![release.work(self.name())],
        }
    }

    /// Does it. Returns what is worth saying.
    fn act(self, release: &Release) -> Result<String> {
        match self {
            Self::Build => source::build(release),
            Self::Universal => source::join_architectures(release),
            Self::Bundle => bundle::assemble_bundles(release),
            Self::Sign => sign::sign_all_code(release),
            Self::Package => package::make(release),
            Self::SignPackage => sign::sign_product(release),
            Self::Notarize => notary::notarize_package(release),
            Self::Staple => staple::staple_tickets(release),
            Self::Verify => verify::verify_release(release),
            Self::Archive => archive::make(release),
            Self::Sbom => sbom::write(release),
            Self::Manifest => manifest::write(release),
            Self::Sums => sums(release),
        }
    }

    /// Settings that its result depends on, beside what it reads.
    fn settings(self, release: &Release) -> Result<String> {
        let mut settings = format!(
            "{} {} apple={} time={}",
            env!("CARGO_PKG_VERSION"),
            release.version,
            release.apple,
            release.time
        );
        let credentials = match self {
            Self::Sign => release.signer(crate::credentials::Purpose::Application)?,
            Self::SignPackage => release.signer(crate::credentials::Purpose::Installer)?,
            Self::Notarize => notary::submitter_label(release)?,
            Self::Manifest => format!("{:?} {}", release.update, manifest::signer_label(release)?),
            _ => String::new(),
        };
        settings.push_str(&credentials);
        // This program is an input too: another one may do it in another way.
        let program = std::env::current_exe().context("could not find this program")?;
        settings.push_str(&hash::hash_tree(&program)?);
        Ok(settings)
    }

    fn inputs(self, release: &Release) -> Result<String> {
        let mut text = self.settings(release)?;
        for path in self.reads(release) {
            if !path.exists() {
                bail!(
                    "`{}` needs {}, which is not there\n  hint: run the stages before it, or `release`",
                    self.name(),
                    path.display()
                );
            }
            text.push_str(&hash::hash_tree(&path)?);
        }
        Ok(hash::hex(&hash::sha256(text.as_bytes())))
    }

    fn outputs(self, release: &Release) -> Result<BTreeMap<PathBuf, String>> {
        self.makes(release)
            .into_iter()
            .map(|path| Ok((path.clone(), hash::hash_tree(&path)?)))
            .collect()
    }
}

/// Record of a stage that is done.
#[derive(Serialize, Deserialize)]
struct Done {
    inputs: String,
    outputs: BTreeMap<PathBuf, String>,
    note: String,
}

/// Result of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub stage: &'static str,
    /// Nothing had changed since it was done.
    pub skipped: bool,
    /// Remark for people.
    pub note: String,
    /// Duration, in milliseconds.
    pub milliseconds: u64,
}

/// Runs a stage, if there is something to do or `force` says so.
///
/// # Errors
///
/// It fails.
pub fn run_stage(stage: Stage, release: &Release, force: bool) -> Result<Report> {
    let started = Instant::now();
    let record = release.out.join(".state").join(format!("{}.json", stage.name()));
    let report = |skipped, note| Report {
        stage: stage.name(),
        skipped,
        note,
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let inputs = stage.inputs(release)?;
    if !force
        && stage != Stage::Build
        && let Some(done) = read(&record)
        && done.inputs == inputs
        && stage.outputs(release).is_ok_and(|outputs| outputs == done.outputs)
    {
        return Ok(report(true, done.note));
    }
    // What is half done must not be taken for done.
    if record.exists() {
        std::fs::remove_file(&record)
            .with_context(|| format!("could not remove {}", record.display()))?;
    }
    let note = stage.act(release)?;
    let done = Done { inputs, outputs: stage.outputs(release)?, note: note.clone() };
    std::fs::write(&record, serde_json::to_vec_pretty(&done)?)
        .with_context(|| format!("could not write {}", record.display()))?;
    Ok(report(false, note))
}

fn read(record: &std::path::Path) -> Option<Done> {
    serde_json::from_slice(&std::fs::read(record).ok()?).ok()
}

/// `SHA256SUMS` of everything that is published, for `shasum -c`.
fn sums(release: &Release) -> Result<String> {
    let mut text = String::new();
    let mut paths = Stage::Sums.reads(release);
    paths.sort();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{}  {name}\n", hash::hash_tree(path)?));
    }
    let target = release.out.join("SHA256SUMS");
    std::fs::write(&target, text)
        .with_context(|| format!("could not write {}", target.display()))?;
    Ok(format!("{} files", paths.len()))
}
