//! Choices of a release's owner: addresses of Apple's services, and the terms of its update.

use std::time::Duration;

use anyhow::{Result, bail};

/// Addresses of Apple's services, and how patient we are with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// App Store Connect.
    pub notary: String,
    /// The storage; `None`: that of the bucket that the service names.
    pub storage: Option<String>,
    /// URL of the look-up of tickets.
    pub tickets: String,
    /// Timeout of a verdict.
    pub wait: Duration,
    /// Between two questions, and before a call is tried again.
    pub pause: Duration,
}

impl Services {
    /// Apple's, where no others are given.
    #[must_use]
    pub fn new(
        notary: Option<String>,
        storage: Option<String>,
        tickets: Option<String>,
        minutes: u64,
    ) -> Self {
        // Apple asks for no more than a few questions a minute.
        let elsewhere = notary.is_some() || tickets.is_some();
        let pause = Duration::from_millis(if elsewhere { 20 } else { 10_000 });
        let apple = "https://appstoreconnect.apple.com";
        Self {
            notary: notary.unwrap_or_else(|| apple.to_owned()),
            storage,
            tickets: tickets.unwrap_or_else(|| "https://api.apple-cloudkit.com".to_owned()),
            wait: Duration::from_secs(minutes.saturating_mul(60)),
            pause,
        }
    }
}

/// Choices of the release's owner about its update.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct UpdateChoices {
    /// Channel that the manifest is for [default: stable, or testing for what is only for testing]
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,

    /// For how many machines of a thousand the update is
    #[arg(long, value_name = "0..1000", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub rollout: u16,

    /// Validity of the manifest, in days
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub expires_days: u64,

    /// The oldest agent that may update itself to this one
    #[arg(long, value_name = "X.Y.Z", value_parser = checked_version)]
    pub minimum_agent: Option<String>,

    /// URL of the release notes
    #[arg(long, value_name = "URL")]
    pub notes_url: Option<String>,
}

/// The name of a version, as macOS and the manifest want it.
///
/// # Errors
///
/// It is not three numbers.
pub fn checked_version(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| {
        !part.is_empty() && part.len() < 6 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.len() != 3 || !parts.iter().all(number) {
        bail!("`{text}` is no version\n  hint: three numbers, as 1.4.0");
    }
    Ok(text.to_owned())
}
