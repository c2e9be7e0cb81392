//! Failures of a registry, for people.

use russet_pipeline::OrbTrouble;

/// Reason why a registry gave no orb.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is no connection to it, or no answer in time.
    #[error("the orb registry {registry} cannot be reached: {cause}")]
    Unreachable {
        /// Address of the registry.
        registry: String,
        /// Innermost cause.
        cause: String,
    },
    /// It answered, but not with 200.
    #[error("the orb registry {registry} answered {status} for {orb}")]
    Status {
        /// Address of the registry.
        registry: String,
        /// HTTP status.
        status: u16,
        /// The orb, with the version that was asked for.
        orb: String,
    },
    /// It wants a token, or another one.
    #[error("the orb registry {registry} does not give {orb} to everybody: {said}")]
    Private {
        /// Address of the registry.
        registry: String,
        /// The orb, with the version that was asked for.
        orb: String,
        /// Its words, or its HTTP status.
        said: String,
    },
    /// It knows no such orb, or does not say so to who asks.
    #[error("the orb registry {registry} has no orb {name}")]
    NoOrb {
        /// Address of the registry.
        registry: String,
        /// Name of the orb.
        name: String,
        /// Set where a token was sent.
        has_token: bool,
    },
    /// It knows the orb, but not this version of it.
    #[error("the orb registry {registry} has no version {wanted} of {name}")]
    NoVersion {
        /// Address of the registry.
        registry: String,
        /// Name of the orb.
        name: String,
        /// Version that was asked for.
        wanted: String,
        /// Some of those that it has.
        known: Vec<String>,
    },
    /// It complains of the query.
    #[error("the orb registry {registry} refused to give {orb}: {said}")]
    Refused {
        /// Address of the registry.
        registry: String,
        /// The orb, with the version that was asked for.
        orb: String,
        /// Its words.
        said: String,
    },
    /// Its answer is not one to the query.
    #[error("the orb registry {registry} answered for {orb} what is not understood: {why}")]
    NotUnderstood {
        /// Address of the registry.
        registry: String,
        /// The orb, with the version that was asked for.
        orb: String,
        /// The fault in it.
        why: String,
    },
    /// Its answer is longer than any orb.
    #[error("the orb registry {registry} answered more than {limit} MiB for {orb}")]
    TooLarge {
        /// Address of the registry.
        registry: String,
        /// The orb, with the version that was asked for.
        orb: String,
        /// Limit, in MiB.
        limit: usize,
    },
}

impl RegistryError {
    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        const FILES: &str = "orbs in .circleci/orbs or on the control plane need no registry";
        match self {
            Self::Unreachable { .. } => format!("check the address and the network; {FILES}"),
            Self::Status { status: 300..400, .. } => {
                "redirects are not followed: name the address that it redirects to".to_owned()
            }
            Self::Status { status: 500.., .. } => format!("try again later; {FILES}"),
            Self::Status { .. } | Self::NotUnderstood { .. } | Self::TooLarge { .. } => {
                "check the address of the registry; CircleCI's own is https://circleci.com"
                    .to_owned()
            }
            Self::Private { .. } => "name a file with a token that may see it: \
                 `--orb-registry-token-file FILE`"
                .to_owned(),
            Self::NoOrb { has_token: false, .. } => "check its name; a private orb needs a token: \
                 `--orb-registry-token-file FILE`"
                .to_owned(),
            Self::NoOrb { .. } => {
                "check its name, and whether the token of the registry may see it".to_owned()
            }
            Self::NoVersion { known, .. } if known.is_empty() => {
                "check the version; it has no published one".to_owned()
            }
            Self::NoVersion { known, .. } => format!("it has {}", known.join(", ")),
            Self::Refused { .. } => format!("check name and version; {FILES}"),
        }
    }

    /// Says that asking the registry for anything else would fail as well.
    #[must_use]
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Status { status: 500.., .. })
    }

    /// Says that the registry does not have what was asked for.
    #[must_use]
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoOrb { .. } | Self::NoVersion { .. })
    }
}

impl From<RegistryError> for OrbTrouble {
    fn from(error: RegistryError) -> Self {
        Self { hint: error.hint(), message: error.to_string() }
    }
}
