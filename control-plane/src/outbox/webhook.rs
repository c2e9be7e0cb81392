//! Webhooks: JSON by POST. Those of alerts are signed as the Standard Webhooks specification 1.0 says
//! (standardwebhooks.com), for which receivers find libraries in every language; those of projects as
//! CircleCI's (circleci.com/docs/guides/integration/outbound-webhooks).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russet_protocol::secret::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::credentials::NoRandomness;
use crate::text::hex_text;

/// Beginning of a secret in its text form.
const SECRET_PREFIX: &str = "whsec_";

/// Makes a secret of 256 random bits, as `whsec_` and base64.
pub(crate) fn new_secret() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(NoRandomness)?;
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(*bytes))))
}

/// Makes a secret of 256 random bits as plain text, whose bytes are the key.
pub(crate) fn new_plain_secret() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(NoRandomness)?;
    Ok(Secret::new(hex_text(&*bytes)))
}

/// Name of the sender, in which receivers of CircleCI's webhooks find what they look for.
const USER_AGENT: &str = concat!("Russet/", env!("CARGO_PKG_VERSION"), " CircleCI-Webhook/1.0");

/// Secret and id that the headers of a message are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) secret: Option<&'a Secret>,
    pub(super) id: &'a str,
}

impl Signer<'_> {
    /// Returns the headers of Standard Webhooks.
    pub(super) fn standard_headers(self, now_s: i64, body: &str) -> Vec<(&'static str, String)> {
        let mut headers =
            vec![("webhook-id", self.id.to_owned()), ("webhook-timestamp", now_s.to_string())];
        if let Some(secret) = self.secret {
            headers.push(("webhook-signature", signature(secret, self.id, now_s, body)));
        }
        headers
    }

    /// Returns the headers of CircleCI's webhooks.
    pub(super) fn circleci_headers(self, event: &str, body: &str) -> Vec<(&'static str, String)> {
        let mut headers =
            vec![("circleci-event-type", event.to_owned()), ("user-agent", USER_AGENT.to_owned())];
        if let Some(secret) = self.secret {
            headers.push(("circleci-signature", circleci_signature(secret, body)));
        }
        headers
    }
}

/// Returns the header `circleci-signature`: the HMAC of the body under the bytes of the secret.
fn circleci_signature(secret: &Secret, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    format!("v1={}", hex_text(&mac.finalize().into_bytes()))
}

/// Returns the header `webhook-signature` of a message.
fn signature(secret: &Secret, id: &str, timestamp: i64, body: &str) -> String {
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

    /// The examples of CircleCI's documentation.
    #[test]
    fn a_signature_is_that_of_circlecis_examples() {
        for (body, secret, digest) in [
            (
                "hello world",
                "secret",
                "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a",
            ),
            (
                "lalala",
                "another-secret",
                "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00",
            ),
            (
                "an-important-request-payload",
                "hunter123",
                "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
            ),
        ] {
            assert_eq!(circleci_signature(&Secret::new(secret), body), format!("v1={digest}"));
        }
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
