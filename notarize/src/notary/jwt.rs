//! The token that App Store Connect wants: ES256 over an issuer, a time and an audience.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::credentials::{NotaryKey, pem_key};

/// Apple takes no token that lives longer than 20 minutes.
const LIFE: i64 = 15 * 60;

/// A token, for calls in the next minutes. `now` is in seconds since 1970.
///
/// # Errors
///
/// The key is none of P-256 in PKCS#8.
pub fn sign_token(key: &NotaryKey, now: i64) -> Result<String> {
    let header = serde_json::json!({"alg": "ES256", "kid": key.key_id, "typ": "JWT"});
    let claims = serde_json::json!({
        "iss": key.issuer, "iat": now, "exp": now + LIFE, "aud": "appstoreconnect-v1",
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let random = SystemRandom::new();
    let der = pem_key(key.private_key.expose())?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random)
        .map_err(|error| anyhow!("the key of App Store Connect cannot be used: {error}"))?;
    let signature = pair
        .sign(&random, signed.as_bytes())
        .map_err(|_| anyhow!("the key of App Store Connect did not sign"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}
