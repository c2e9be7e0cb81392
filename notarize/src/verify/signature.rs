//! A code signature, read by ourselves: what it says, and whether its hashes are those of the code.
//!
//! Facts are from Apple's open source (`cs_blobs.h` of xnu). Whether the certificates lead to
//! Apple is not decided here; `codesign --verify` and `spctl` on a Mac do that.

use anyhow::{Context as _, Result, bail};
use ring::digest::{SHA256, digest};

use super::macho::{Slice, byte_range, u32_be};

const SUPER_BLOB: u32 = 0xFADE_0CC0;
const CODE_DIRECTORY: u32 = 0xFADE_0C02;
const SLOT_CODE_DIRECTORY: u32 = 0;
const SLOT_ENTITLEMENTS: u32 = 5;
const SLOT_CMS: u32 = 0x10000;
const HASH_SHA256: u8 = 2;
const EARLIEST_WITH_TEAM: u32 = 0x20200;

/// Flag of a signature without a certificate.
pub const ADHOC: u32 = 0x2;
/// Flag of the hardened runtime.
pub const RUNTIME: u32 = 0x1_0000;

/// Numbers of the special slots, counted back from the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The bundle's `Info.plist`.
    InfoPlist = 1,
    /// `_CodeSignature/CodeResources`.
    Resources = 3,
    /// The entitlements, with the header of their blob.
    Entitlements = 5,
}

/// Contents of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The identifier, which permissions and requirements hang on.
    pub identifier: String,
    /// The team, of certificates by Apple.
    pub team: Option<String>,
    /// See [`ADHOC`] and [`RUNTIME`].
    pub flags: u32,
    /// The entitlements, as XML.
    pub entitlements: Option<String>,
    /// Set if there is a CMS signature with certificates.
    pub cms: bool,
    /// SHA-256 of the code directory, cut to 20 bytes: what macOS and notarization know it by.
    pub cdhash: Vec<u8>,
    /// Set if every page of the code has the hash that is signed.
    pub pages_match: bool,
    specials: Vec<(u32, Vec<u8>)>,
}

impl Signature {
    /// Reads the signature of a slice and compares the code with it.
    ///
    /// # Errors
    ///
    /// There is none, or it is damaged or of a kind that Russet does not make.
    pub fn read(slice: &Slice<'_>) -> Result<Self> {
        let blob = slice.signature.context("it is not signed")?;
        if u32_be(blob, 0)? != SUPER_BLOB {
            bail!("the signature is no super blob");
        }
        let (mut directory, mut entitlements, mut cms) = (None, None, false);
        for number in 0..u32_be(blob, 8)? {
            let at = 12 + 8 * usize::try_from(number)?;
            let (slot, offset) = (u32_be(blob, at)?, u32_be(blob, at + 4)?);
            let length = u32_be(blob, usize::try_from(offset)? + 4)?;
            let content = byte_range(blob, offset, length)?;
            match slot {
                SLOT_CODE_DIRECTORY => directory = Some(content),
                SLOT_ENTITLEMENTS => entitlements = Some(content),
                // An empty one stands in ad hoc signatures.
                SLOT_CMS => cms = content.len() > 8,
                _ => {}
            }
        }
        let directory = directory.context("the signature has no code directory")?;
        let mut signature = Self::directory(directory, slice.code)?;
        signature.cms = cms;
        if let Some(blob) = entitlements {
            if !signature.binds(Special::Entitlements, blob) {
                bail!("the entitlements are not those that were signed");
            }
            let text = blob.get(8..).context("damaged: entitlements")?;
            signature.entitlements = Some(String::from_utf8(text.to_vec())?);
        }
        Ok(signature)
    }

    fn directory(directory: &[u8], code: &[u8]) -> Result<Self> {
        let field = |at| u32_be(directory, at);
        let byte = |at: usize| directory.get(at).copied().context("damaged: code directory");
        if field(0)? != CODE_DIRECTORY {
            bail!("the first blob is no code directory");
        }
        let (size, kind, page) = (usize::from(byte(36)?), byte(37)?, byte(39)?);
        if kind != HASH_SHA256 || size != 32 || page > 24 {
            bail!("hashes of a kind that Russet does not make: {kind}");
        }
        let hash_at = |slot: i64| -> Result<&[u8]> {
            let at = i64::from(field(16)?) + slot * 32;
            byte_range(directory, u32::try_from(at).context("damaged: a hash")?, 32)
        };
        let specials = (1..=field(24)?.min(16))
            .map(|slot| Ok((slot, hash_at(-i64::from(slot))?.to_vec())))
            .collect::<Result<_>>()?;
        let limit = usize::try_from(field(32)?)?;
        let signed = code.get(..limit).context("more code is signed than there is")?;
        let pages = signed.chunks(1 << page);
        let mut pages_match = limit == code.len() && u32::try_from(pages.len())? == field(28)?;
        for (number, page) in (0_i64..).zip(pages) {
            pages_match = pages_match && hash_at(number)? == digest(&SHA256, page).as_ref();
        }
        let team = if field(8)? >= EARLIEST_WITH_TEAM { field(48)? } else { 0 };
        let cdhash = digest(&SHA256, directory).as_ref().get(..20).unwrap_or_default().to_vec();
        Ok(Self {
            identifier: read_text(directory, field(20)?)?,
            team: if team == 0 { None } else { Some(read_text(directory, team)?) },
            flags: field(12)?,
            entitlements: None,
            cms: false,
            cdhash,
            pages_match,
            specials,
        })
    }

    /// Returns true if this content is the one that a special slot was signed with.
    #[must_use]
    pub fn binds(&self, slot: Special, content: &[u8]) -> bool {
        let hash = digest(&SHA256, content);
        self.specials.iter().any(|(at, signed)| *at == slot as u32 && signed == hash.as_ref())
    }
}

/// Text up to a zero.
fn read_text(bytes: &[u8], at: u32) -> Result<String> {
    let bytes = bytes.get(usize::try_from(at)?..).context("damaged: a text")?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(std::str::from_utf8(text)?.to_owned())
}
