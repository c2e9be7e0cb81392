//! Stages `build` and `universal`: executables for both architectures, and both in one file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use apple_codesign::UniversalBinaryBuilder;

use crate::places::{ARCHITECTURES, Release, fresh};
use crate::process::{command, run_tool};
use crate::verify::macho;

/// Returns true if the menubar companion is there: among the executables that were given, or as a
/// package of this checkout.
///
/// # Errors
///
/// cargo cannot read the workspace.
pub fn has_menubar(release: &Release) -> Result<bool> {
    if let Some(directory) = &release.binaries {
        let there = |(cargo, _, _): &(&str, &str, (u32, u32))| {
            binary_path(release, directory, cargo, "russet-menubar").is_file()
        };
        return Ok(ARCHITECTURES.iter().all(there));
    }
    if !cfg!(target_os = "macos") {
        // What `.ci/apple` links: without stubs of the companion's frameworks it is left out.
        let script = release.checkout.join(".ci/apple/build");
        let text = std::fs::read_to_string(&script)
            .with_context(|| format!("could not read {}", script.display()))?;
        return Ok(text.contains("russet-menubar"));
    }
    let metadata = crate::sbom::metadata(release, &["--no-deps"])?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    Ok(packages.iter().any(|package| package["name"] == "russet-menubar"))
}

/// Returns the path that cargo puts an executable at.
fn binary_path(release: &Release, target: &Path, architecture: &str, name: &str) -> PathBuf {
    // Its folder for the profile `dev` has another name.
    let folder = if release.profile == "dev" { "debug" } else { release.profile.as_str() };
    target.join(format!("{architecture}-apple-darwin")).join(folder).join(name)
}

/// Builds, or takes what was built, into `build/ARCHITECTURE/NAME`.
///
/// # Errors
///
/// A build fails, or an executable is missing.
pub fn build(release: &Release) -> Result<String> {
    let target = match &release.binaries {
        Some(directory) => directory.clone(),
        None => compile_programs(release)?,
    };
    let work = release.work("build");
    fresh(&work)?;
    for (cargo, apple, _) in ARCHITECTURES {
        std::fs::create_dir_all(work.join(apple))?;
        for program in release.programs() {
            let from = binary_path(release, &target, cargo, program);
            let to = work.join(apple).join(program);
            std::fs::copy(&from, &to)
                .with_context(|| format!("could not take {}; was it built?", from.display()))?;
        }
    }
    Ok(format!("{} programs for x86_64 and arm64", release.programs().len()))
}

/// Runs the compiler for both architectures; returns cargo's target directory.
fn compile_programs(release: &Release) -> Result<PathBuf> {
    let packages = release.programs().into_iter().flat_map(|name| ["--package", name]);
    let mut arguments = vec!["--profile", &release.profile, "--bins", "--locked"];
    arguments.extend(packages);
    if cfg!(target_os = "macos") {
        for (cargo, _, minimum) in ARCHITECTURES {
            let target = format!("{cargo}-apple-darwin");
            let mut build = command("cargo", &["build", "--target", &target]);
            build.args(&arguments).current_dir(&release.checkout);
            build.env("MACOSX_DEPLOYMENT_TARGET", format!("{}.{}", minimum.0, minimum.1));
            run_tool(&mut build).with_context(|| {
                format!(
                    "{target}\n  hint: rustup target add {target}, and the Xcode command line tools"
                )
            })?;
        }
        return target_directory(release);
    }
    let apple = release.checkout.join(".ci/apple");
    for script in ["toolchain", "sdk"] {
        run_tool(&mut command(&apple.join(script).display().to_string(), &[]))?;
    }
    let mut build = command(&apple.join("build").display().to_string(), &["link"]);
    // The script gives cargo the rest of its arguments; packages of its own are among them.
    run_tool(build.arg("--profile").arg(&release.profile))?;
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/russet-apple"));
    std::env::var_os("RUSSET_APPLE_TARGET")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("RUSSET_APPLE_DIR")?).join("target")))
        .or_else(|| Some(cache()?.join("target")))
        .context("there is no home directory, where .ci/apple keeps what it builds")
}

fn target_directory(release: &Release) -> Result<PathBuf> {
    let mut metadata = command("cargo", &["metadata", "--no-deps", "--format-version", "1"]);
    let (_, text) = crate::process::tool_output(metadata.current_dir(&release.checkout))?;
    let value: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let path = value.get("target_directory").and_then(serde_json::Value::as_str);
    path.map(PathBuf::from).context("cargo metadata names no target directory")
}

/// Joins `build/*/NAME` to `universal/NAME`.
///
/// # Errors
///
/// An executable is not what it should be.
pub fn join_architectures(release: &Release) -> Result<String> {
    let (build, work) = (release.work("build"), release.work("universal"));
    fresh(&work)?;
    for program in release.programs() {
        let slices: Vec<PathBuf> =
            ARCHITECTURES.iter().map(|(_, apple, _)| build.join(apple).join(program)).collect();
        for ((_, apple, _), path) in ARCHITECTURES.iter().zip(&slices) {
            expect_architecture(path, apple)?;
        }
        let joined = work.join(program);
        if release.apple {
            let output = joined.display().to_string();
            run_tool(command("lipo", &["-create", "-output", &output]).args(&slices))?;
        } else {
            join(&slices, &joined)?;
        }
        std::fs::set_permissions(&joined, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok("x86_64 and arm64 in one file each".to_owned())
}

fn join(slices: &[PathBuf], to: &Path) -> Result<()> {
    let mut builder = UniversalBinaryBuilder::default();
    for path in slices {
        let bytes =
            std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        builder.add_binary(bytes).with_context(|| path.display().to_string())?;
    }
    let mut file =
        std::fs::File::create(to).with_context(|| format!("could not write {}", to.display()))?;
    builder.write(&mut file).with_context(|| format!("could not write {}", to.display()))
}

/// Threat: a release once shipped with one architecture twice (Santa). Before they are joined,
/// each is what it is called.
fn expect_architecture(path: &Path, apple: &str) -> Result<()> {
    let bytes =
        std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let slices = macho::read_slices(&bytes).with_context(|| path.display().to_string())?;
    match slices.as_slice() {
        [slice] if slice.architecture == apple => Ok(()),
        _ => bail!("{} is not for {apple} alone", path.display()),
    }
}
