//! Credentials that an owner keeps on a machine and grants to tasks: what one is, as the launch
//! agent hands it to a task agent on its standard input.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A credential and its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// Its name on this machine.
    pub name: String,
    /// Contents.
    pub content: Content,
}

/// Contents of a credential. Binary contents are in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A certificate with its private key, for codesign.
    SigningIdentity {
        /// The `.p12` file, in base64.
        p12: Secret,
        /// Password that it is encrypted with.
        password: Secret,
    },
    /// A provisioning profile.
    ProvisioningProfile {
        /// The file, in base64.
        profile: Secret,
        /// Extension of its file: `mobileprovision` or `provisionprofile`.
        extension: String,
    },
    /// A key of the App Store Connect API.
    AppStoreConnectKey {
        /// The key's id, ten letters and digits; no secret.
        key_id: String,
        /// The issuer's id; `None` for an individual key. No secret.
        #[serde(default)]
        issuer_id: Option<String>,
        /// The `.p8` file, which is text.
        key: Secret,
    },
    /// A password or a token.
    Password {
        /// It.
        value: Secret,
    },
}

impl Content {
    /// The kind, as the command line and the store name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SigningIdentity { .. } => "signing-identity",
            Self::ProvisioningProfile { .. } => "provisioning-profile",
            Self::AppStoreConnectKey { .. } => "app-store-connect-key",
            Self::Password { .. } => "password",
        }
    }

    /// Values that output must not show.
    #[must_use]
    pub fn masks(&self) -> Vec<Secret> {
        match self {
            Self::SigningIdentity { p12, password } => vec![p12.clone(), password.clone()],
            // A profile is not secret: it is part of every app that is built with it.
            Self::ProvisioningProfile { .. } => Vec::new(),
            Self::AppStoreConnectKey { key, .. } => vec![key.clone()],
            Self::Password { value } => vec![value.clone()],
        }
    }
}

/// Returns the variable that names the file of a credential.
#[must_use]
pub fn file_variable(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("RUSSET_CREDENTIAL_{name}")
}

#[cfg(test)]
mod tests {
    use super::{Content, Credential};

    /// A document of version 1 of the assignment and of the store: it parses for ever.
    #[test]
    fn version_1_documents_parse_and_debug_shows_nothing() {
        let text = r#"{"name":"dist","content":{"kind":"signing_identity","p12":"cDEy",
            "password":"hunter2"}}"#;
        let credential: Credential = serde_json::from_str(text).unwrap();
        assert_eq!(credential.content.kind(), "signing-identity");
        assert!(!format!("{credential:?}").contains("hunter2"));
        let text = r#"{"kind":"app_store_connect_key","key_id":"ABC","key":"k"}"#;
        assert!(matches!(
            serde_json::from_str(text).unwrap(),
            Content::AppStoreConnectKey { issuer_id: None, .. }
        ));
    }
}
