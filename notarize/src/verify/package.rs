//! A package, read back: through readers that have nothing to do with our writers.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use anyhow::{Context as _, Result, anyhow, ensure};
use apple_xar::reader::XarReader;
use flate2::read::GzDecoder;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

use super::Files;
use crate::bundle::package_components;
use crate::credentials::Purpose;
use crate::package::{component_scripts, product_resources, script_text};
use crate::places::Release;
use crate::xar_table::XarTable;

/// A payload is not larger than this, unpacked.
const MAX_PAYLOAD: u64 = 2 << 30;

/// Checks everything but the code, and returns what each component installs.
pub(super) fn read(release: &Release, bytes: Vec<u8>) -> Result<BTreeMap<String, Files>> {
    let mut reader = XarReader::new(Cursor::new(bytes.clone()))?;
    check_package_signature(release, &XarTable::parse(&bytes)?, &mut reader)?;
    check_distribution(release, &read_member(&mut reader, "Distribution")?)?;
    for (name, content) in product_resources(release) {
        ensure!(
            read_member(&mut reader, &format!("Resources/{name}"))? == content,
            "the page {name}"
        );
    }
    let mut contents = BTreeMap::new();
    for name in package_components(release) {
        let info =
            String::from_utf8(read_member(&mut reader, &format!("{name}.pkg/PackageInfo"))?)?;
        package_info(&info, name, &release.version).with_context(|| format!("{name}.pkg"))?;
        let payload = unpack(&read_member(&mut reader, &format!("{name}.pkg/Payload"))?)?;
        let sign = release.work("sign").join(name);
        for node in crate::tree::read(&sign)? {
            if let crate::tree::Kind::File(bytes) = &node.kind {
                ensure!(payload.get(&node.path) == Some(bytes), "{} is another", node.path);
            }
        }
        let expected = component_scripts(name);
        if !expected.is_empty() {
            let found = unpack(&read_member(&mut reader, &format!("{name}.pkg/Scripts"))?)?;
            for (script, text) in expected {
                let text = script_text(text, &release.version).into_bytes();
                ensure!(found.get(script) == Some(&text), "the script {script} is another");
            }
        }
        contents.insert(name.to_owned(), payload);
    }
    Ok(contents)
}

type Reader = XarReader<Cursor<Vec<u8>>>;

fn read_member(reader: &mut Reader, path: &str) -> Result<Vec<u8>> {
    reader.get_file_data_from_path(path)?.with_context(|| format!("{path} is missing"))
}

/// The signature of the package: there where it should be, over the table, by who should have.
fn check_package_signature(
    release: &Release,
    table: &XarTable<'_>,
    reader: &mut Reader,
) -> Result<()> {
    if release.apple {
        return Ok(());
    }
    let Some(identity) = release.credentials.identity(Purpose::Installer)? else {
        ensure!(reader.rsa_signature()?.is_none(), "it is signed, and nobody should have");
        return Ok(());
    };
    let (signature, certificates) = reader.rsa_signature()?.context("it is not signed")?;
    let first = certificates.first().context("the signature names no certificate")?;
    ensure!(*first == identity.certificate, "it is signed by somebody else");
    ensure!(certificates.len() == 1 + identity.chain.len(), "the chain is incomplete");
    // Not by apple-xar, which takes the checksum for the message: ring hashes the table itself.
    let key = first.public_key_data();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, &key)
        .verify(table.compressed, &signature)
        .map_err(|_| anyhow!("the classic RSA signature is wrong"))?;
    ensure!(reader.verify_cms_signature()?, "the CMS signature is wrong");
    Ok(())
}

fn check_distribution(release: &Release, text: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(text)?;
    for claim in [
        "hostArchitectures=\"x86_64,arm64\"",
        "<os-version min=\"10.15\"",
        "enable_currentUserHome=\"false\"",
        "<welcome file=\"welcome.html\"",
        "<license file=\"LICENSE.txt\"",
        &format!("<product id=\"dev.russet.pkg\" version=\"{}\"", release.version),
    ] {
        ensure!(text.contains(claim), "Distribution does not say {claim}");
    }
    ensure!(!text.contains('@'), "Distribution has a place that was not filled in");
    Ok(())
}

fn package_info(text: &str, name: &str, version: &str) -> Result<()> {
    let own = [
        format!("identifier=\"dev.russet.{name}.pkg\""),
        format!("version=\"{version}\""),
        "install-location=\"/\"".to_owned(),
        "auth=\"root\"".to_owned(),
    ];
    for claim in own {
        ensure!(text.contains(&claim), "PackageInfo does not say {claim}");
    }
    ensure!(!text.contains("relocatable=\"true\""), "it is relocatable");
    ensure!(text.contains("<relocate/>"), "it can be moved by Installer");
    ensure!(text.contains("<bundle-version/>"), "Installer compares versions");
    Ok(())
}

/// The files of a gzipped cpio archive.
fn unpack(bytes: &[u8]) -> Result<Files> {
    let mut cpio = Vec::new();
    GzDecoder::new(bytes).take(MAX_PAYLOAD).read_to_end(&mut cpio)?;
    let mut reader = cpio_archive::reader(Cursor::new(cpio))?;
    let mut files = Files::new();
    while let Some(header) = reader.next() {
        let header = header?;
        ensure!(header.uid() == 0 && header.gid() == 0, "{} is not root's", header.name());
        ensure!(header.mode() & 0o7022 == 0, "others can write {}", header.name());
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        if header.mode() & 0o170_000 == 0o100_000 {
            files.insert(header.name().trim_start_matches("./").to_owned(), content);
        }
    }
    Ok(files)
}
