//! Stage `sbom`: what a release consists of, in CycloneDX's JSON, as cargo resolves it for macOS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::places::Release;
use crate::process::{command, tool_output};

/// Returns the path of the list.
#[must_use]
pub fn sbom_path(release: &Release) -> PathBuf {
    release.out.join(format!("Russet-{}.cdx.json", release.version))
}

/// Returns cargo's metadata of the workspace.
pub(crate) fn metadata(release: &Release, more: &[&str]) -> Result<Value> {
    let mut cargo = command("cargo", &["metadata", "--format-version", "1", "--locked"]);
    let (ok, text) = tool_output(cargo.args(more).current_dir(&release.checkout))?;
    if !ok {
        bail!("cargo cannot read the workspace in {}", release.checkout.display());
    }
    serde_json::from_str(&text).context("cargo metadata")
}

/// Writes it.
///
/// # Errors
///
/// cargo cannot resolve the workspace, or the file cannot be written.
pub fn write(release: &Release) -> Result<String> {
    let platforms =
        ["--filter-platform", "aarch64-apple-darwin", "--filter-platform", "x86_64-apple-darwin"];
    let metadata = metadata(release, &platforms)?;
    let components = list_components(&metadata, &release.programs())?;
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.time_text(),
            "component": {
                "type": "application", "bom-ref": "russet", "name": "russet",
                "version": release.version, "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": components,
    });
    let path = sbom_path(release);
    std::fs::write(&path, serde_json::to_vec_pretty(&document)?)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(format!("{} components", components.len()))
}

/// Everything that the programs are built of; what only tests and builds need is no part of them.
fn list_components(metadata: &Value, programs: &[&str]) -> Result<Vec<Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let mut waiting: Vec<String> = packages
        .iter()
        .filter(|(_, package)| programs.contains(&text(&package["name"]).as_str()))
        .map(|(id, _)| id.clone())
        .collect();
    if waiting.is_empty() {
        bail!("the workspace has none of {}", programs.join(", "));
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        for dependency in nodes.get(&id).map(|node| list(&node["deps"])).unwrap_or_default() {
            let kinds = list(&dependency["dep_kinds"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                waiting.push(text(&dependency["pkg"]));
            }
        }
        seen.insert(id);
        waiting.retain(|other| !seen.contains(other));
    }
    let component = |package: &Value| {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let mut component = json!({
            "type": "library", "name": name, "version": version,
            "bom-ref": format!("{name}@{version}"),
        });
        if !package["source"].is_null() {
            component["purl"] = json!(format!("pkg:cargo/{name}@{version}"));
        }
        if let Some(license) = package["license"].as_str() {
            // An older way to write `OR`.
            component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
        }
        component
    };
    Ok(seen.iter().filter_map(|id| packages.get(id)).map(component).collect())
}
