//! Rules for those who come in: their claims, and the name of their account. Pure.

use serde_json::{Map, Value};

use super::settings::{AccountClaim, OidcSettings};
use crate::people::check_user_name;

/// Claims about somebody, verified.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// Id at the provider, which stays the same.
    pub(crate) subject: String,
    /// All claims, by name.
    pub(crate) all: Map<String, Value>,
}

impl Claims {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Returns the e-mail address, if the provider has verified it.
    fn verified_email(&self) -> Option<String> {
        let is_verified = self.all.get("email_verified").and_then(Value::as_bool) == Some(true);
        self.text("email").filter(|_| is_verified).map(str::to_ascii_lowercase)
    }

    /// Returns true for a claim with this value, or with a list that has it.
    fn has(&self, name: &str, wanted: &str) -> bool {
        let is_wanted = |value: &Value| match value {
            Value::String(text) => text == wanted,
            Value::Bool(true) => wanted == "true",
            Value::Bool(false) => wanted == "false",
            Value::Number(number) => number.to_string() == wanted,
            _ => false,
        };
        match self.all.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_wanted),
            Some(value) => is_wanted(value),
            None => false,
        }
    }
}

/// Reason why somebody whom the provider knows does not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the provider names no e-mail address that it has verified")]
    NoEmail,
    #[error("the provider names no `preferred_username`")]
    NoUsername,
    #[error("addresses of `{0}` do not come in here")]
    Domain(String),
    #[error("`{name}` is not `{value}` at the provider")]
    Claim {
        /// Name of the claim.
        name: String,
        /// Value that it has to have.
        value: String,
    },
    #[error("`{0}` cannot be the name of an account")]
    Name(String),
    #[error("there is no account `{0}`")]
    NoAccount(String),
    #[error("the account `{0}` is not a person's")]
    Service(String),
    #[error("the account `{0}` belongs to another identity of the provider")]
    Taken(String),
}

impl Refused {
    /// Returns what to do.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoEmail => {
                "verify the address at the provider, or have its owner send the scope `email`"
            }
            Self::NoUsername => "have the provider send the scope `profile`",
            Self::Domain(_) => "use another account of the provider, or ask an administrator",
            Self::Claim { .. } => "ask the one who gives out rights at the provider",
            Self::Name(_) | Self::NoAccount(_) => {
                "ask an administrator for an account: `russet user add`"
            }
            Self::Service(_) => {
                "ask an administrator for an account of your own: `russet user add`"
            }
            Self::Taken(_) => {
                "ask an administrator; removing the account and adding it again frees its name"
            }
        }
    }
}

/// Refuses those whom the owner does not let in.
pub(crate) fn check_claims(settings: &OidcSettings, claims: &Claims) -> Result<(), Refused> {
    if !settings.domains.is_empty() {
        let email = claims.verified_email().ok_or(Refused::NoEmail)?;
        let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        if !settings.domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
            return Err(Refused::Domain(domain.to_owned()));
        }
    }
    match settings.claims.iter().find(|(name, value)| !claims.has(name, value)) {
        Some((name, value)) => Err(Refused::Claim { name: name.clone(), value: value.clone() }),
        None => Ok(()),
    }
}

/// Returns the name of the account of somebody who comes in for the first time.
pub(crate) fn wanted_name(settings: &OidcSettings, claims: &Claims) -> Result<String, Refused> {
    let name = match settings.account_claim {
        AccountClaim::Email => claims.verified_email().ok_or(Refused::NoEmail)?,
        AccountClaim::PreferredUsername => {
            claims.text("preferred_username").ok_or(Refused::NoUsername)?.to_ascii_lowercase()
        }
    };
    match check_user_name(&name) {
        Ok(()) => Ok(name),
        Err(_) => Err(Refused::Name(russet_text::one_line_within(&name, 64))),
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;
    use serde_json::{Value, json};

    use super::{AccountClaim, Claims, OidcSettings, Refused, check_claims, wanted_name};

    fn settings() -> OidcSettings {
        OidcSettings::new("https://id.example.com", "russet".to_owned(), Secret::new("x")).unwrap()
    }

    fn claims(all: Value) -> Claims {
        Claims { subject: "1".to_owned(), all: all.as_object().unwrap().clone() }
    }

    #[test]
    fn an_account_is_found_by_a_verified_address_or_by_what_the_owner_chose() {
        let ana = claims(json!({
            "email": "Ana@Example.com", "email_verified": true, "preferred_username": "ana"
        }));
        assert_eq!(wanted_name(&settings(), &ana).unwrap(), "ana@example.com");
        let by_name = OidcSettings { account_claim: AccountClaim::PreferredUsername, ..settings() };
        assert_eq!(wanted_name(&by_name, &ana).unwrap(), "ana");
        for verified in [json!(false), json!("true"), json!(1), Value::Null] {
            let claimed = json!({"email": "ana@example.com", "email_verified": verified});
            assert_eq!(wanted_name(&settings(), &claims(claimed)), Err(Refused::NoEmail));
        }
        let odd = claims(json!({"preferred_username": "a/b"}));
        assert_eq!(wanted_name(&by_name, &odd), Err(Refused::Name("a/b".to_owned())));
    }

    #[test]
    fn only_those_with_the_right_domain_and_claims_come_in() {
        let settings = OidcSettings {
            domains: vec!["example.com".to_owned()],
            claims: vec![("groups".to_owned(), "ci".to_owned())],
            ..settings()
        };
        let check = |all| check_claims(&settings, &claims(all));
        let ana = |email: &str, groups: Value| json!({"email": email, "email_verified": true, "groups": groups});
        assert_eq!(check(ana("a@example.com", json!(["x", "ci"]))), Ok(()));
        assert_eq!(check(ana("a@EXAMPLE.com", json!("ci"))), Ok(()));
        for email in ["a@evil.com", "a@example.com@evil.com", "a@sub.example.com", "a"] {
            let refused = check(ana(email, json!("ci")));
            assert!(matches!(refused, Err(Refused::Domain(_))), "{email}: {refused:?}");
        }
        for groups in [json!("ci-admins"), json!([]), json!({"ci": true}), Value::Null] {
            let refused = check(ana("a@example.com", groups));
            assert!(matches!(refused, Err(Refused::Claim { .. })), "{refused:?}");
        }
    }
}
