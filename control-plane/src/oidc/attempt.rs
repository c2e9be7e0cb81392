//! An attempt to sign in, between the way to the provider and the way back. It is kept by the browser, in
//! a sealed cookie: so it works at every server, and takes no room here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::credentials::{NoRandomness, random_bytes};

/// Time for which an attempt counts, in seconds.
pub(crate) const ATTEMPT_TIMEOUT_S: i64 = 600;

/// Purpose of the key.
const CONTEXT: &str = "russet control plane 2026-11 OpenID Connect attempt";

/// An attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    key: [u8; 32],
    /// Random text, which is in the cookie alone.
    secret: String,
    pub(crate) until_s: i64,
    /// Path of ours to go to afterwards.
    pub(crate) next: String,
}

impl Attempt {
    fn derive(&self, purpose: &str, more: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, format!("{purpose}.{}.{more}", self.secret).as_bytes())
    }

    /// Returns the text that comes back with the answer.
    pub(crate) fn state(&self) -> String {
        self.derive("state", "").to_hex().to_string()
    }

    /// Returns true for that text. Takes as long either way.
    pub(crate) fn is_state(&self, text: &str) -> bool {
        blake3::Hash::from_hex(text).is_ok_and(|hash| hash == self.derive("state", ""))
    }

    /// Returns the text that comes back in the token.
    pub(crate) fn nonce(&self) -> String {
        self.derive("nonce", "").to_hex().to_string()
    }

    /// Returns the verifier of PKCE, of which the provider first gets a hash alone (RFC 7636).
    pub(crate) fn verifier(&self) -> String {
        self.derive("verifier", "").to_hex().to_string()
    }

    /// Returns the number by which an attempt that was used is known.
    pub(crate) fn id(&self) -> blake3::Hash {
        self.derive("id", "")
    }

    fn seal(&self) -> blake3::Hash {
        self.derive("seal", &format!("{}.{}", self.until_s, self.next))
    }

    /// Returns the value of the cookie.
    pub(crate) fn cookie(&self) -> String {
        let next = URL_SAFE_NO_PAD.encode(&self.next);
        format!("{}.{}.{next}.{}", self.secret, self.until_s, self.seal().to_hex())
    }
}

fn attempt_key(admin: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(CONTEXT, admin)
}

/// Begins an attempt. `admin` is the key that others are derived from.
pub(crate) fn new_attempt(
    admin: &[u8; 32],
    next: &str,
    now_s: i64,
) -> Result<Attempt, NoRandomness> {
    let secret: [u8; 32] = random_bytes()?;
    Ok(Attempt {
        key: attempt_key(admin),
        secret: URL_SAFE_NO_PAD.encode(secret),
        until_s: now_s.saturating_add(ATTEMPT_TIMEOUT_S),
        next: next.to_owned(),
    })
}

/// Reads the cookie of an attempt that counts.
pub(crate) fn read_attempt(admin: &[u8; 32], cookie: &str, now_s: i64) -> Option<Attempt> {
    let mut parts = cookie.splitn(4, '.');
    let (secret, until_s, next) = (parts.next()?, parts.next()?, parts.next()?);
    let seal = blake3::Hash::from_hex(parts.next()?).ok()?;
    let attempt = Attempt {
        key: attempt_key(admin),
        secret: secret.to_owned(),
        until_s: until_s.parse().ok()?,
        next: String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?,
    };
    (attempt.seal() == seal && attempt.until_s > now_s).then_some(attempt)
}

#[cfg(test)]
mod tests {
    use super::{new_attempt, read_attempt};

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn an_attempt_is_read_as_it_was_sealed_and_for_ten_minutes() {
        let attempt = new_attempt(&KEY, "/runners", 1000).unwrap();
        let cookie = attempt.cookie();
        let read = read_attempt(&KEY, &cookie, 1599).unwrap();
        assert_eq!((read.next.as_str(), read.state()), ("/runners", attempt.state()));
        assert!(read.is_state(&attempt.state()) && !read.is_state(&attempt.nonce()));
        assert!(read_attempt(&KEY, &cookie, 1600).is_none());
        assert!(read_attempt(&[8; 32], &cookie, 1000).is_none());
        let later = cookie.replace(".1600.", ".9999.");
        assert!(later != cookie && read_attempt(&KEY, &later, 1000).is_none());
        for bad in ["", "a.b.c", "a.1600.L2E.00", &cookie[1..]] {
            assert!(read_attempt(&KEY, bad, 1000).is_none(), "{bad}");
        }
        // Nothing that the provider is told gives away what it gets later.
        let all = [attempt.state(), attempt.nonce(), attempt.verifier(), attempt.id().to_string()];
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
        assert_ne!(new_attempt(&KEY, "/", 0).unwrap().state(), attempt.state());
    }
}
