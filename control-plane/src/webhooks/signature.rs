//! Signatures of GitHub: HMAC-SHA256 of the body under the secret
//! (docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries). Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use russet_protocol::secret::Secret;
use sha2::Sha256;

/// Header of the signature. `X-Hub-Signature` has one by SHA-1, which is not looked at.
pub(crate) const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// A signature as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature([u8; 32]);

impl Signature {
    /// Reads the header: `sha256=` and 64 digits.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let digits = header.strip_prefix("sha256=")?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let two = digits.get(index * 2..index * 2 + 2)?;
            *byte = u8::from_str_radix(two, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns true where it is the one of a body under a secret. Takes as long either way.
    pub(crate) fn is_of(&self, body: &[u8], secret: &Secret) -> bool {
        // HMAC takes a key of any length; under an empty one anybody can sign.
        let key = secret.expose().as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
        mac.update(body);
        mac.verify_slice(&self.0).is_ok() && !key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;

    use super::Signature;

    /// The example of GitHub's documentation.
    const GIVEN: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_example_of_the_documentation_is_right_and_others_are_not() {
        let secret = Secret::new("It's a Secret to Everybody");
        let signature = Signature::parse(GIVEN).unwrap();
        assert!(signature.is_of(b"Hello, World!", &secret));
        assert!(!signature.is_of(b"Hello, World", &secret));
        assert!(!signature.is_of(b"Hello, World!", &Secret::new("another")));
        let of_nothing = Signature::parse(&format!("sha256={}", "0".repeat(64))).unwrap();
        assert!(!of_nothing.is_of(b"Hello, World!", &secret));
    }

    #[test]
    fn parts_and_other_forms_of_a_signature_are_none() {
        let digits = GIVEN.strip_prefix("sha256=").unwrap();
        for wrong in [
            "",
            "sha256=",
            digits,
            &format!("sha1={digits}"),
            GIVEN.trim_end_matches('7'),
            &format!("{GIVEN}0"),
            &GIVEN.replace('7', "g"),
            &GIVEN.replace("75", "+5"),
        ] {
            assert_eq!(Signature::parse(wrong), None, "{wrong}");
        }
    }
}
