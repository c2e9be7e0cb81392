//! Stage `staple`: Apple's tickets, in the package and in the bundle of the update archive, so that
//! a Mac without a network takes them.
//!
//! A ticket is looked up by what Apple saw: the checksum of the package's table of contents, the
//! code directory of a bundle. Both are stapled into fresh copies, so never twice: a second ticket
//! would be appended to the first.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use apple_codesign::stapling::xar_notarization_trailer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::hash::hex;
use crate::notary::{Http, Services, Submission};
use crate::places::{Release, copy_tree, fresh};
use crate::process::{command, run_tool};
use crate::verify::{macho, signature::Signature};
use crate::xar_table::XarTable;

/// Path of the look-up, on the service of tickets.
const LOOKUP: &str = "database/1/com.apple.gk.ticket-delivery/production/public/records/lookup";

/// Number of look-ups of a ticket that is not there yet: it takes Apple a moment.
const LOOKUPS: u32 = 12;

/// Copies package and bundle, with tickets where the package was accepted.
///
/// # Errors
///
/// A ticket is not there, or a file cannot be written.
pub fn staple_tickets(release: &Release) -> Result<String> {
    let work = release.work("staple");
    fresh(&work)?;
    let (package, bundle) = (release.package(), release.stapled_bundle());
    let signed = release.work("sign-package").join(release.package_name());
    std::fs::copy(&signed, &package)
        .with_context(|| format!("could not write {}", package.display()))?;
    copy_tree(&release.work("sign").join("agent").join(crate::bundle::AGENT_BUNDLE), &bundle)?;
    if !Submission::read(release)?.accepted() {
        return Ok("nothing: it was not notarized".to_owned());
    }
    if release.apple {
        for path in [&package, &bundle] {
            let path = path.display().to_string();
            run_tool(&mut command("/usr/bin/xcrun", &["stapler", "staple", &path]))?;
        }
        return Ok("package and bundle".to_owned());
    }
    let names = [package_record(&package)?, bundle_record(&bundle)?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let [for_package, for_bundle] = runtime.block_on(async {
        let http = Http::new(release.services.pause)?;
        let first = look_up_ticket(&http, &release.services, &names[0]).await?;
        anyhow::Ok([first, look_up_ticket(&http, &release.services, &names[1]).await?])
    })?;
    let mut file = std::fs::File::options().append(true).open(&package)?;
    file.write_all(&xar_notarization_trailer(&for_package)?)
        .with_context(|| format!("could not write {}", package.display()))?;
    std::fs::write(bundle.join("Contents/CodeResources"), for_bundle)
        .with_context(|| format!("could not write into {}", bundle.display()))?;
    Ok("package and bundle".to_owned())
}

/// The name of a package's ticket. `2/1/` is SHA-1, `2/2/` is SHA-256, of which 20 bytes count.
fn package_record(package: &Path) -> Result<String> {
    let bytes = std::fs::read(package)?;
    let table = XarTable::parse(&bytes)?;
    Ok(format!("2/1/{}", hex(table.checksum)))
}

/// The name of a bundle's ticket, by its first architecture; one ticket covers all.
fn bundle_record(bundle: &Path) -> Result<String> {
    let bytes = std::fs::read(bundle.join("Contents/MacOS/russet"))?;
    let slices = macho::read_slices(&bytes)?;
    let slice = slices.first().context("a universal binary without a slice")?;
    Ok(format!("2/2/{}", hex(&Signature::read(slice)?.cdhash)))
}

async fn look_up_ticket(http: &Http, services: &Services, name: &str) -> Result<Vec<u8>> {
    let address = format!("{}/{LOOKUP}", services.tickets.trim_end_matches('/'));
    let body = json!({"records": [{"recordName": name}]});
    for attempt in 0..LOOKUPS {
        if attempt > 0 {
            tokio::time::sleep(services.pause).await;
        }
        let request = |client: &reqwest::Client| Ok(client.post(&address).json(&body));
        let answer = http.send("look a ticket up", request).await?;
        let answer: Value = answer.json().await.context("the service of tickets sent no JSON")?;
        let record = &answer["records"][0];
        if let Some(text) = record["fields"]["signedTicket"]["value"].as_str() {
            return STANDARD.decode(text).context("the ticket is not base64");
        }
        if record["serverErrorCode"].as_str().is_some_and(|code| code != "NOT_FOUND") {
            bail!("the service of tickets refused {name}: {}", record["serverErrorCode"]);
        }
    }
    bail!("there is no ticket for {name} yet\n  hint: run the same command again in some minutes")
}
