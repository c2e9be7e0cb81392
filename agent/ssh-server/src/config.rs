//! Configuration of the protocol: modern algorithms, and limits on everything.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{
    Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server,
};

use crate::keys::{HostKey, PersonKeys};

/// Time that a refusal takes, whatever it is for: who has the wrong name learns no more than who has
/// the wrong key.
const REFUSAL_TIME: Duration = Duration::from_millis(300);

/// Refusals after which a connection ends. The first one is spent by every client on asking for the
/// methods, and each key that an agent offers in vain is another one.
const MAX_REFUSALS: usize = 10;

/// Bytes that a client may send on a channel before it is told to go on.
const WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// Bytes of a packet, as everybody has it.
const PACKET_BYTES: u32 = 32 * 1024;

/// Time without a packet after which a client is asked if it is there.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Kinds of forwarding that are allowed. X11 never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// The person's SSH agent.
    pub agent: bool,
    /// Ports, in both directions.
    pub ports: bool,
}

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The one name that may log in.
    pub user: String,
    /// Keys that may log in.
    pub keys: PersonKeys,
    /// Key of the host.
    pub host_key: HostKey,
    /// Kinds of forwarding that are allowed.
    pub forwarding: Forwarding,
    /// Time in which a client has to have logged in.
    pub login_timeout: Duration,
    /// Time without a packet after which a client is asked if it is there; after the third time in
    /// vain it has gone.
    pub keepalive_interval: Duration,
}

impl Settings {
    /// Timeout of logging in, unless configured.
    pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

    /// Settings with the usual times, and nothing forwarded.
    #[must_use]
    pub fn new(user: &str, keys: PersonKeys, host_key: HostKey) -> Self {
        Self {
            user: user.to_owned(),
            keys,
            host_key,
            forwarding: Forwarding::default(),
            login_timeout: Self::LOGIN_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
        }
    }

    pub(crate) fn protocol(&self) -> Arc<server::Config> {
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        Arc::new(server::Config {
            // No version: whoever knows it knows which faults to try.
            server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Russet")),
            methods,
            auth_rejection_time: REFUSAL_TIME,
            // The same for every name, so it tells nothing.
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![self.host_key.0.clone()],
            certificates: Vec::new(),
            limits: Limits::default(),
            window_size: WINDOW_BYTES,
            maximum_packet_size: PACKET_BYTES,
            // Nobody reads these queues; `crate::gate` says what holds a client back.
            channel_buffer_size: 1,
            event_buffer_size: 16,
            preferred: preferred_algorithms(),
            max_auth_attempts: MAX_REFUSALS,
            // A person who reads is not gone: only who does not answer is. `crate::server` counts,
            // since russh would count while we do not read.
            inactivity_timeout: None,
            keepalive_interval: Some(self.keepalive_interval),
            keepalive_max: 0,
            nodelay: true,
        })
    }
}

/// Algorithms, the best first. A client before OpenSSH 9.9 has no post-quantum exchange that russh has
/// too (9.0 to 9.8 offer sntrup761 alone), so one classical exchange stays, by its two names.
fn preferred_algorithms() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        key: Cow::Borrowed(&[
            Algorithm::Ed25519,
            Algorithm::SkEd25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            Algorithm::SkEcdsaSha2NistP256,
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}
