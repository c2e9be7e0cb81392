//! The options that name a provider of OpenID Connect.

use std::path::PathBuf;

use clap::ValueEnum;
use russet_control_plane::{AccountClaim, OidcSettings};
use russet_protocol::people::Role;
use russet_protocol::secret::Secret;

use super::database::read_private;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Provider of OpenID Connect that people sign in at.
#[derive(clap::Args, Debug)]
pub(super) struct OidcArgs {
    /// Provider of OpenID Connect that people sign in at, by its issuer, such as
    /// `https://id.example.com`. It sends browsers back to PUBLIC-URL/login/oidc/callback
    #[arg(long, value_name = "URL", requires_all = ["public_url", "oidc_client_id", "oidc_client_secret_file"])]
    oidc_issuer: Option<String>,

    /// Id of this server at the provider
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,

    /// File with the secret of this server at the provider; for its owner alone
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_client_secret_file: Option<PathBuf>,

    /// Name of the provider on the button [default: the host of the issuer]
    #[arg(long, value_name = "NAME", requires = "oidc_issuer")]
    oidc_name: Option<String>,

    /// Claim that names the account of somebody who comes in for the first time
    #[arg(long, value_name = "CLAIM", value_enum, default_value_t, requires = "oidc_issuer")]
    oidc_account_claim: Claim,

    /// Domain of verified e-mail addresses that may come in; may be repeated [default: all]
    #[arg(long = "oidc-domain", value_name = "DOMAIN", requires = "oidc_issuer")]
    oidc_domains: Vec<String>,

    /// Claim that somebody has to have, such as groups=ci; may be repeated, and all are needed
    #[arg(long = "oidc-claim", value_name = "NAME=VALUE", value_parser = parse_claim, requires = "oidc_issuer")]
    oidc_claims: Vec<(String, String)>,

    /// Make an account with this role for somebody who has none: viewer, member, operator or admin
    /// [default: an administrator adds accounts]
    #[arg(long, value_name = "ROLE", requires = "oidc_issuer")]
    oidc_create_role: Option<Role>,
}

/// Claim that names an account.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Claim {
    /// The verified e-mail address.
    #[default]
    Email,
    /// The name of the user; safe only where people cannot choose it themselves
    #[value(name = "preferred_username")]
    PreferredUsername,
}

fn parse_claim(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a claim is given as NAME=VALUE".to_owned()),
    }
}

impl OidcArgs {
    /// Returns the provider; `None`: people sign in with passwords.
    pub(super) fn open(self) -> Result<Option<OidcSettings>> {
        let (Some(issuer), Some(id)) = (self.oidc_issuer, self.oidc_client_id) else {
            return Ok(None);
        };
        let Some(file) = self.oidc_client_secret_file else { return Ok(None) };
        let secret = Secret::new(read_private(&file)?.trim());
        let mut settings = OidcSettings::new(&issuer, id, secret)
            .map_err(|error| CliError::new(Exit::Usage, format!("--oidc-issuer: {error}")))?;
        if let Some(name) = self.oidc_name {
            settings.name = name;
        }
        settings.account_claim = match self.oidc_account_claim {
            Claim::Email => AccountClaim::Email,
            Claim::PreferredUsername => AccountClaim::PreferredUsername,
        };
        settings.domains = self.oidc_domains;
        settings.claims = self.oidc_claims;
        settings.create_role = self.oidc_create_role;
        Ok(Some(settings))
    }
}
