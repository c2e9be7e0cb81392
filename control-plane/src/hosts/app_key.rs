//! Proof of a GitHub App: a short-lived JWT, signed by its private key
//! (<https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use russet_protocol::secret::Secret;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

/// Time by which the begin of a proof lies in the past, in seconds, for a clock that is ahead of GitHub's.
const SKEW_S: i64 = 60;

/// Time for which a proof is good from now on, in seconds. GitHub takes no more than 600, from its begin.
const LIFE_S: i64 = 480;

/// Longest App ID or client ID, in bytes.
const MAX_ID_BYTES: usize = 64;

/// A GitHub App.
#[derive(Clone, Debug)]
pub(crate) struct AppKey {
    /// Its App ID or client ID.
    pub(crate) id: String,
    pub(crate) private_key: Secret,
}

/// Reason why an App cannot prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppKeyError {
    #[error("the App's ID is not one: its settings at GitHub show a number, and a client ID")]
    Id,
    #[error("the App's private key is not a PEM file with an RSA key of 2048 to 4096 bits")]
    Key,
    #[error("the App's proof could not be signed")]
    Sign,
}

impl AppKey {
    /// Checks that the key can sign.
    pub(crate) fn check(&self) -> Result<(), AppKeyError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.id.is_empty() || self.id.len() > MAX_ID_BYTES || !self.id.chars().all(is_plain) {
            return Err(AppKeyError::Id);
        }
        self.pair().map(drop)
    }

    fn pair(&self) -> Result<RsaKeyPair, AppKeyError> {
        let bytes = self.private_key.expose().as_bytes();
        let der = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| AppKeyError::Key)?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(AppKeyError::Key),
        };
        pair.map_err(|_| AppKeyError::Key)
    }

    /// Returns a proof that is good now, at a time in seconds since 1970.
    pub(crate) fn prove(&self, now_s: i64) -> Result<Secret, AppKeyError> {
        let pair = self.pair()?;
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let claims = json!({"iat": now_s - SKEW_S, "exp": now_s + LIFE_S, "iss": self.id});
        let encoded = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| AppKeyError::Sign)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature))))
    }
}
