//! Settings of a provider.

use openidconnect::{IssuerUrl, url::Url};
use russet_protocol::people::Role;
use russet_protocol::secret::Secret;

/// Claim by which somebody is matched with an account for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountClaim {
    /// The e-mail address, which the provider has to have verified.
    #[default]
    Email,
    /// `preferred_username`. Safe only where people cannot choose it themselves.
    PreferredUsername,
}

/// Provider of OpenID Connect, and who may come in through it.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Issuer, from which everything else is discovered.
    pub(super) issuer: IssuerUrl,
    /// Id of this server at the provider.
    pub client_id: String,
    /// Secret of this server at the provider.
    pub client_secret: Secret,
    /// Name of the provider on the button.
    pub name: String,
    /// Claim that names an account.
    pub account_claim: AccountClaim,
    /// Domains of e-mail addresses that may come in. Empty: all.
    pub domains: Vec<String>,
    /// Claims that somebody has to have: name and value, or a value of a list.
    pub claims: Vec<(String, String)>,
    /// Role of accounts that are made for those who have none. `None` makes none.
    pub create_role: Option<Role>,
}

/// Reason why settings are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcSettingsError {
    /// The issuer is not an address.
    #[error("`{0}` is not the address of a provider")]
    Address(String),
    /// The issuer has no TLS.
    #[error("`{0}` has no TLS: whoever is on the way could sign in as anybody")]
    Insecure(String),
}

impl OidcSettings {
    /// The usual settings for a provider.
    ///
    /// # Errors
    ///
    /// The issuer is not an address with TLS; without, it has to be on this machine.
    pub fn new(
        issuer: &str,
        client_id: String,
        client_secret: Secret,
    ) -> Result<Self, OidcSettingsError> {
        let url = IssuerUrl::new(issuer.to_owned())
            .map_err(|_| OidcSettingsError::Address(issuer.to_owned()))?;
        if !is_safe(url.url()) {
            return Err(OidcSettingsError::Insecure(issuer.to_owned()));
        }
        Ok(Self {
            name: url.url().host_str().unwrap_or_default().to_owned(),
            issuer: url,
            client_id,
            client_secret,
            account_claim: AccountClaim::default(),
            domains: Vec::new(),
            claims: Vec::new(),
            create_role: None,
        })
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }
}

/// Returns true for an address with TLS, or of this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host_str() {
        Some("localhost" | "127.0.0.1" | "[::1]") => true,
        Some(_) | None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;

    use super::{OidcSettings, OidcSettingsError};

    #[test]
    fn a_provider_has_tls_or_is_on_this_machine() {
        let of = |issuer| OidcSettings::new(issuer, "russet".to_owned(), Secret::new("x"));
        assert_eq!(of("https://id.example.com").unwrap().name, "id.example.com");
        assert!(of("http://127.0.0.1:3000").is_ok());
        for bad in ["http://id.example.com", "http://127.0.0.1.example.com", "ftp://localhost"] {
            assert!(matches!(of(bad), Err(OidcSettingsError::Insecure(_))), "{bad}");
        }
        assert!(matches!(of("id"), Err(OidcSettingsError::Address(_))));
    }
}
