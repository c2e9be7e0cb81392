//! The classic signature of a package: PKCS#1 v1.5 over the SHA-1 of the table of contents.
//!
//! apple-xar 0.20 takes the checksum for the message and hashes it again (its `signing.rs`), which
//! readers of the classic signature call tampered: `RSA_verify(NID_sha1)` in xar, and
//! `rsaSignatureDigestPKCS1v15SHA1` of Apple's frameworks. Its place and length are right, so the
//! bytes alone are replaced. The CMS signature beside it, which Apple prefers, stays.

use anyhow::{Context as _, Result, anyhow, ensure};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey, traits::PublicKeyParts as _};

use crate::credentials::Identity;
use crate::xar_table::{CHECKSUM_SIZE, XarTable};

/// DER of a DigestInfo for SHA-1 up to its digest (RFC 8017, section 9.2, note 1).
const SHA1_DIGEST_INFO: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// Replaces the classic signature in a signed package.
///
/// # Errors
///
/// The key is not RSA, as every Developer ID Installer key is, or the package is damaged.
pub(super) fn replace_signature(package: &mut [u8], identity: &Identity) -> Result<()> {
    let table = XarTable::parse(package)?;
    let signature = sign_checksum(identity, table.checksum)?;
    let from = table.heap.saturating_add(CHECKSUM_SIZE);
    let place = package.get_mut(from..from.saturating_add(signature.len()));
    place.context("the package has no room for its signature")?.copy_from_slice(&signature);
    Ok(())
}

fn sign_checksum(identity: &Identity, checksum: &[u8]) -> Result<Vec<u8>> {
    let primes = identity.key.rsa_primes().map_err(|error| anyhow!("{error}"))?;
    let (p, q) = primes.context("the installer's key is not RSA")?;
    let public = RsaPublicKey::from_pkcs1_der(&identity.certificate.public_key_data())
        .context("the public key of the installer's certificate")?;
    let [p, q] = [p, q].map(|prime| BigUint::from_bytes_be(&prime));
    let key = RsaPrivateKey::from_p_q(p, q, public.e().clone())?;
    ensure!(key.n() == public.n(), "the installer's key is not that of its certificate");
    let padding =
        Pkcs1v15Sign { hash_len: Some(CHECKSUM_SIZE), prefix: Box::new(SHA1_DIGEST_INFO) };
    Ok(key.sign(padding, checksum)?)
}
