//! The credentials that the launch agent granted to this task, put where tools look for them.
//!
//! Steps get paths in their environment, never values: an environment is shown by `ps`, printed
//! by `env` and kept in crash reports. Files are 0600 in the task's own home, which is made for
//! this task and emptied after it. On macOS signing identities go into a keychain of the task's
//! own (`keychain.rs`).
//!
//! Everything here happens after root was given up, and waits for its tools without letting
//! anything else run: the reaper would take the end of a tool for one of its own.

mod files;
#[cfg(target_os = "macos")]
#[path = "keychain.rs"]
mod identities;
#[cfg(not(target_os = "macos"))]
#[path = "plain.rs"]
mod identities;

use russet_protocol::credential::{Content, Credential, file_variable};
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, SlotDirs};

use super::environment::Variables;
use crate::path_error::PathError;
use files::Place;

/// Reason why a credential could not be delivered. The task is not run without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// One of the credentials could not be.
    #[error("credential {name}: {source}")]
    Named { name: String, source: Box<Self> },
    #[error(transparent)]
    File(#[from] PathError),
    #[error("it was not stored whole\n  hint: store it again")]
    Damaged,
    /// The system's keychains refuse it.
    #[cfg(target_os = "macos")]
    #[error(transparent)]
    Keychain(#[from] russet_platform::macos_tools::security::SecurityError),
    #[cfg(target_os = "macos")]
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl CredentialError {
    /// Returns what adds the name of a credential to an error, for `map_err`.
    fn of<E: Into<Self>>(name: &str) -> impl Fn(E) -> Self {
        move |error| Self::Named { name: name.to_owned(), source: Box::new(error.into()) }
    }
}

/// Result of a delivery.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// Variables by which steps find it.
    pub(crate) variables: Variables,
    /// Lines about it in the task's log.
    pub(crate) lines: Vec<String>,
}

impl Delivered {
    fn name(&mut self, variable: String, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }
}

/// Returns the values that output must not show.
pub(crate) fn secret_masks(assignment: &Assignment) -> impl Iterator<Item = Secret> {
    assignment.credentials.iter().flat_map(|credential| credential.content.masks())
}

/// Puts every credential in its place.
pub(crate) fn deliver(assignment: &Assignment) -> Result<Delivered, CredentialError> {
    let mut delivered = Delivered::default();
    if !assignment.credentials.is_empty() {
        let place = Place::make(&assignment.dirs)?;
        for credential in &assignment.credentials {
            deliver_one(credential, &place, &mut delivered)
                .map_err(CredentialError::of(&credential.name))?;
        }
        identities::deliver(&assignment.credentials, &place, &mut delivered)?;
    }
    delivered.lines.extend(assignment.withheld.iter().cloned());
    Ok(delivered)
}

/// Removes what does not go with the task's home: keychains are known to the system as well. Says
/// what could not be removed.
pub(crate) fn remove(dirs: &SlotDirs) -> Vec<String> {
    identities::remove(dirs)
}

fn deliver_one(
    credential: &Credential,
    place: &Place,
    to: &mut Delivered,
) -> Result<(), CredentialError> {
    let Credential { name, content } = credential;
    let variable = file_variable(name);
    match content {
        // All of them together, when the rest is there.
        Content::SigningIdentity { .. } => return Ok(()),
        Content::ProvisioningProfile { profile, extension } => {
            let bytes = files::decode_base64(profile)?;
            let path = identities::install_profile(place, name, extension, &bytes)?;
            to.lines.push(format!("credential {name}: provisioning profile {}", path.display()));
            to.name(variable, path.to_string_lossy());
        }
        Content::AppStoreConnectKey { key_id, issuer_id, key } => {
            let path = place.app_store_connect(key_id, key.expose().as_bytes())?;
            to.lines.push(format!("credential {name}: App Store Connect key {key_id}"));
            to.name(format!("{variable}_KEY_ID"), key_id.as_str());
            if let Some(issuer) = issuer_id {
                to.name(format!("{variable}_ISSUER_ID"), issuer.as_str());
            }
            to.name(variable, path.to_string_lossy());
        }
        Content::Password { value } => {
            let path = place.write(name, value.expose().as_bytes())?;
            to.lines.push(format!("credential {name}: a file"));
            to.name(variable, path.to_string_lossy());
        }
    }
    Ok(())
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::{deliver, secret_masks};
    use crate::task::testing;
    use russet_protocol::credential::{Content, Credential};
    use russet_protocol::secret::Secret;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_private_and_named_by_variables_that_hold_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let (mut assignment, _) = testing::assignment_and_config();
        assignment.dirs.home = dir.path().to_owned();
        let named = |name: &str, content| Credential { name: name.to_owned(), content };
        assignment.credentials = vec![
            named("upload.pass", Content::Password { value: Secret::new("hunter2") }),
            named(
                "asc",
                Content::AppStoreConnectKey {
                    key_id: "ABC123".to_owned(),
                    issuer_id: Some("issuer".to_owned()),
                    key: Secret::new("-----BEGIN PRIVATE KEY-----\nMIGT\n"),
                },
            ),
            named(
                "dist",
                Content::SigningIdentity {
                    p12: Secret::new("cDEyLWZpbGU="),
                    password: Secret::new("opensesame"),
                },
            ),
            named(
                "profile",
                Content::ProvisioningProfile {
                    profile: Secret::new("cHJvZmlsZQ=="),
                    extension: "mobileprovision".to_owned(),
                },
            ),
        ];
        assignment.withheld = vec!["credential x: not granted".to_owned()];
        let delivered = deliver(&assignment).unwrap();
        let all = &delivered.variables;
        let read = |variable: &str| std::fs::read_to_string(&all[variable]).unwrap();
        assert_eq!(read("RUSSET_CREDENTIAL_UPLOAD_PASS"), "hunter2");
        assert!(
            all["RUSSET_CREDENTIAL_ASC"]
                .ends_with(".appstoreconnect/private_keys/AuthKey_ABC123.p8")
        );
        assert_eq!(all["RUSSET_CREDENTIAL_ASC_KEY_ID"], "ABC123");
        assert_eq!(all["RUSSET_CREDENTIAL_ASC_ISSUER_ID"], "issuer");
        assert_eq!(read("RUSSET_CREDENTIAL_DIST"), "p12-file");
        assert_eq!(read("RUSSET_CREDENTIAL_DIST_PASSWORD_FILE"), "opensesame");
        assert!(all["RUSSET_CREDENTIAL_PROFILE"].ends_with("profile.mobileprovision"));
        for (name, value) in all {
            assert!(!value.contains("hunter2") && !value.contains("opensesame"), "{name}");
            if let Ok(meta) = std::fs::metadata(value) {
                assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
            }
        }
        let said = delivered.lines.join("\n");
        assert!(said.contains("credential x: not granted") && !said.contains("hunter2"));
        let masked: Vec<_> =
            secret_masks(&assignment).map(|mask| mask.expose().to_owned()).collect();
        assert!(masked.iter().any(|mask| mask == "hunter2"));
        assert!(masked.iter().any(|mask| mask == "opensesame"));
        assert!(masked.iter().any(|mask| mask.contains("MIGT")));
    }

    #[test]
    fn without_credentials_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (mut assignment, _) = testing::assignment_and_config();
        assignment.dirs.home = dir.path().to_owned();
        assert!(deliver(&assignment).unwrap().variables.is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
