//! Namespaces, in which classes, contexts and projects live.

use serde::{Deserialize, Serialize};

/// Longest name of a namespace, in bytes, as in a resource class.
pub const MAX_NAMESPACE_BYTES: usize = 100;

/// Returns true for the name of a namespace: `[a-z0-9_-]`, as CircleCI has it.
#[must_use]
pub fn is_namespace(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=MAX_NAMESPACE_BYTES).contains(&name.len()) && name.chars().all(is_plain)
}

/// Owner of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NamespaceOwner {
    /// An account of this server, which has the role admin in the namespace.
    User(String),
    /// An organization, by its name. It has no account.
    Organization(String),
}

impl std::fmt::Display for NamespaceOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Organization(name) => write!(f, "organization {name}"),
        }
    }
}

/// A namespace. Its name never changes, and it is never deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamespaceItem {
    /// Name, unique on the server.
    pub name: String,
    /// Owner of it.
    pub owner: NamespaceOwner,
    /// Name of the one who claimed it.
    pub created_by: String,
    /// Time at which it was claimed, in milliseconds since 1970.
    pub created_ms: u64,
}

/// `POST /api/v3/namespaces`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewNamespace {
    /// Name: small letters, digits, `-` and `_`.
    pub name: String,
    /// Owner. None: the organization of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<NamespaceOwner>,
}

/// `PUT /api/v3/namespaces/{namespace}/owner`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetNamespaceOwner {
    /// The new owner.
    pub owner: NamespaceOwner,
}

#[cfg(test)]
mod tests {
    use super::is_namespace;

    #[test]
    fn names_have_the_characters_that_circleci_allows() {
        for good in ["acme", "a", "a_b-1", &"a".repeat(100)] {
            assert!(is_namespace(good), "{good}");
        }
        for bad in ["", "Acme", "a.b", "a/b", "a b", "é", &"a".repeat(101)] {
            assert!(!is_namespace(bad), "{bad}");
        }
    }
}
