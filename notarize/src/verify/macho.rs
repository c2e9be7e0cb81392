//! Mach-O, read by ourselves: what a release claims is not taken from the code that signed it.
//!
//! Facts are from Apple's `<mach-o/loader.h>` and `<mach-o/fat.h>`.

use anyhow::{Context as _, Result, bail};

/// One architecture of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Oldest macOS that it starts on: major and minor.
    pub minimum: (u32, u32),
    /// Set if Apple's linker made it. Others link against our stubs of Apple's libraries.
    pub apple_linker: bool,
    /// The signature, if there is one.
    pub signature: Option<&'a [u8]>,
    /// Bytes before the signature, which are those that are signed.
    pub code: &'a [u8],
}

const FAT_MAGIC: u32 = 0xCAFE_BABE;
const MH_MAGIC_64: u32 = 0xFEED_FACF;
const MH_EXECUTE: u32 = 2;
const CPU_X86_64: u32 = 0x0100_0007;
const CPU_ARM64: u32 = 0x0100_000C;
const LC_CODE_SIGNATURE: u32 = 0x1D;
const LC_VERSION_MIN_MACOSX: u32 = 0x24;
const LC_BUILD_VERSION: u32 = 0x32;
const PLATFORM_MACOS: u32 = 1;
const TOOL_LD: u32 = 3;

/// Returns true if bytes begin as a Mach-O of any kind that macOS runs.
#[must_use]
pub fn is_macho(bytes: &[u8]) -> bool {
    matches!(u32_be(bytes, 0), Ok(FAT_MAGIC)) || matches!(u32_le(bytes, 0), Ok(MH_MAGIC_64))
}

/// The slices of a file.
///
/// # Errors
///
/// It is no Mach-O executable for macOS, or is damaged.
pub fn read_slices(file: &[u8]) -> Result<Vec<Slice<'_>>> {
    if u32_be(file, 0)? != FAT_MAGIC {
        return Ok(vec![read_slice(file)?]);
    }
    (0..u32_be(file, 4)?)
        .map(|number| {
            let at = 8 + 20 * usize::try_from(number)?;
            let (offset, size) = (u32_be(file, at + 8)?, u32_be(file, at + 12)?);
            read_slice(byte_range(file, offset, size)?)
        })
        .collect()
}

fn read_slice(bytes: &[u8]) -> Result<Slice<'_>> {
    if u32_le(bytes, 0)? != MH_MAGIC_64 {
        bail!("no 64-bit Mach-O");
    }
    let architecture = match u32_le(bytes, 4)? {
        CPU_X86_64 => "x86_64",
        CPU_ARM64 => "arm64",
        other => bail!("a processor that is not ours: {other:#x}"),
    };
    if u32_le(bytes, 12)? != MH_EXECUTE {
        bail!("no executable");
    }
    let mut slice =
        Slice { architecture, minimum: (0, 0), apple_linker: false, signature: None, code: bytes };
    let mut at = 32;
    for _ in 0..u32_le(bytes, 16)? {
        let size = usize::try_from(u32_le(bytes, at + 4)?)?;
        if size < 8 {
            bail!("a load command of {size} bytes");
        }
        match u32_le(bytes, at)? {
            LC_BUILD_VERSION => {
                if u32_le(bytes, at + 8)? != PLATFORM_MACOS {
                    bail!("not for macOS");
                }
                slice.minimum = unpack_version(u32_le(bytes, at + 12)?);
                for tool in 0..usize::try_from(u32_le(bytes, at + 20)?)? {
                    slice.apple_linker |= u32_le(bytes, at + 24 + 8 * tool)? == TOOL_LD;
                }
            }
            LC_VERSION_MIN_MACOSX => slice.minimum = unpack_version(u32_le(bytes, at + 8)?),
            LC_CODE_SIGNATURE => {
                let offset = u32_le(bytes, at + 8)?;
                slice.signature = Some(byte_range(bytes, offset, u32_le(bytes, at + 12)?)?);
                slice.code = byte_range(bytes, 0, offset)?;
            }
            _ => {}
        }
        at += size;
    }
    Ok(slice)
}

/// `xxxx.yy.zz` in nibbles.
fn unpack_version(packed: u32) -> (u32, u32) {
    (packed >> 16, (packed >> 8) & 0xFF)
}

/// A part of bytes.
pub(super) fn byte_range(bytes: &[u8], offset: u32, size: u32) -> Result<&[u8]> {
    let offset = usize::try_from(offset)?;
    let end = offset.checked_add(usize::try_from(size)?).context("damaged: a size overflows")?;
    bytes.get(offset..end).context("damaged: it ends too early")
}

/// A number, big-endian.
pub(super) fn u32_be(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..at.saturating_add(4)).context("damaged: it ends too early")?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}

fn u32_le(bytes: &[u8], at: usize) -> Result<u32> {
    u32_be(bytes, at).map(u32::swap_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_that_are_no_program_are_refused_and_nothing_panics(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3
        ) {
            let magic: &[u8] = match kind {
                0 => &[0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 2],
                1 => &[0xCF, 0xFA, 0xED, 0xFE, 7, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0],
                _ => &[],
            };
            let length = magic.len().min(bytes.len());
            bytes[..length].copy_from_slice(&magic[..length]);
            if let Ok(slices) = super::read_slices(&bytes) {
                for slice in slices {
                    drop(crate::verify::signature::Signature::read(&slice));
                }
            }
        }
    }
}
