//! Webhooks: JSON by POST, signed as the Standard Webhooks specification 1.0 says
//! (standardwebhooks.com), for which receivers find libraries in every language.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russet_protocol::secret::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::credentials::NoRandomness;

/// Beginning of a secret in its text form.
const SECRET_PREFIX: &str = "whsec_";

/// Makes a secret of 256 random bits, as `whsec_` and base64.
pub(crate) fn new_secret() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(NoRandomness)?;
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(*bytes))))
}

/// Returns the header `webhook-signature` of a message.
pub(super) fn signature(secret: &Secret, id: &str, timestamp: i64, body: &str) -> String {
    let text = secret.expose();
    let text = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    let key = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(
            signature(&secret, id, 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(
            STANDARD.decode(one.expose().strip_prefix("whsec_").unwrap()).unwrap().len(),
            32
        );
    }
}
