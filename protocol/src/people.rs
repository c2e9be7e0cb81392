//! People, service accounts and their tokens: who may do what on a control plane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::PersonalTokenId;
use crate::secret::Secret;

/// Permission that a call needs. Scopes of tokens have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See pipelines, output, artifacts and runners.
    Read,
    /// Submit, cancel, run again, approve and pin pipelines.
    Submit,
    /// Change runners, classes and their tokens, variables, keys and orbs.
    Operate,
    /// Change people and retention, delete projects, read the audit log.
    Admin,
}

impl Permission {
    /// All, each with less right than the next.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Operate, Self::Admin];

    /// Name in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// Writes permissions as people read them: `read, submit`.
#[must_use]
pub fn permission_names(permissions: &[Permission]) -> String {
    permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
}

/// Role of a person or a service account, over the server or in a namespace. Each has the
/// permissions of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also submits.
    Member,
    /// Also operates.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    /// All, each with less right than the next.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Operator, Self::Admin];

    /// Name in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The greatest permission of the role. It has all before that one.
    #[must_use]
    pub fn permission(self) -> Permission {
        match self {
            Self::Viewer => Permission::Read,
            Self::Member => Permission::Submit,
            Self::Operator => Permission::Operate,
            Self::Admin => Permission::Admin,
        }
    }
}

/// A text names no role or permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(String, &'static str);

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is none of {}", self.0, self.1)
    }
}

impl std::error::Error for UnknownName {}

impl std::str::FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| UnknownName(text.to_owned(), "viewer, member, operator and admin"))
    }
}

impl std::str::FromStr for Permission {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|of| of.as_str() == text);
        known.ok_or_else(|| UnknownName(text.to_owned(), "read, submit, operate and admin"))
    }
}

/// Kind of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UserKind {
    /// Somebody, who can sign in to the pages.
    #[default]
    Person,
    /// A program: it has tokens, and never signs in.
    Service,
}

impl UserKind {
    /// Name in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
        }
    }
}

/// A person or a service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserItem {
    /// Name, unique on the server.
    pub name: String,
    /// Kind of the account.
    pub kind: UserKind,
    /// Role over the server. None: only roles in namespaces count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Roles in namespaces, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Role>,
    /// True for a person who has set a password.
    #[serde(default)]
    pub has_password: bool,
    /// Time at which it was added, in milliseconds since 1970.
    pub created_ms: u64,
}

/// `POST /api/v3/users`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewUser {
    /// Name, unique on the server.
    pub name: String,
    /// Kind of the account.
    #[serde(default)]
    pub kind: UserKind,
    /// Role over the server. None: no right, until one is given in a namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// `PUT /api/v3/users/{name}/role`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetRole {
    /// The role. None takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The namespace that it is for. None: the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A personal token. With it somebody's tools may do what its owner may, as far as its scopes go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonalTokenItem {
    /// Id of the token, which is no secret.
    pub id: PersonalTokenId,
    /// Name of the account whose token it is.
    pub user: String,
    /// Description in lists.
    pub description: String,
    /// Permissions that it is limited to.
    pub scopes: Vec<Permission>,
    /// Time at which it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// End of it, in milliseconds since 1970. None: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Time of the last call with it, to about a minute. None: it was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ms: Option<u64>,
    /// Token that it was made with, which takes it along when it is revoked. None: it was made on a page, by
    /// a login, or with the admin token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<PersonalTokenId>,
    /// The token itself: in the answer to the call that made it, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// `POST /api/v3/me/tokens` and `POST /api/v3/users/{name}/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPersonalToken {
    /// Description in lists.
    #[serde(default)]
    pub description: String,
    /// Permissions that it is limited to; at least one.
    pub scopes: Vec<Permission>,
    /// Time until its end, in seconds. None: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// Path of the page on which somebody allows a command line a token.
pub const DEVICE_LOGIN_PAGE: &str = "/login/device";

/// `POST /api/v3/device-logins`: a command line asks for a token that somebody allows in a browser, as in RFC 8628.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceLogin {
    /// Code with which the command line fetches its token.
    pub device_code: Secret,
    /// Code that a person types into the page.
    pub user_code: String,
    /// Path of the page.
    pub verification_path: String,
    /// Address of the page, where the server knows its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri: Option<String>,
    /// Time until both codes expire, in seconds.
    pub expires_in: u64,
    /// Shortest time between two polls, in seconds.
    pub interval: u64,
}

/// `POST /api/v3/device-logins/token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FetchDeviceToken {
    /// Code of the command line.
    pub device_code: Secret,
}

/// Reason why a command line has no token, with the names of RFC 8628, section 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceLoginError {
    /// Nobody has decided yet.
    AuthorizationPending,
    /// Nobody has decided yet, and the polls come too fast: the interval is five seconds longer from now on.
    SlowDown,
    /// Somebody denied it.
    AccessDenied,
    /// The time is over.
    ExpiredToken,
    /// The code is unknown, or its token was fetched before.
    InvalidGrant,
}

/// Answer to a poll that brings no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceLoginRefusal {
    /// Reason.
    pub error: DeviceLoginError,
    /// The same in words.
    pub message: String,
}

/// Link with which somebody sets a password and signs in, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignInLink {
    /// Path with the code, to be appended to the address of the server.
    pub path: Secret,
    /// The whole link, where the server knows its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// End of it, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Session of a person in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionItem {
    /// Id of the session, which is no secret.
    pub id: String,
    /// Begin of it, in milliseconds since 1970.
    pub began_ms: u64,
    /// End of it, in milliseconds since 1970.
    pub until_ms: u64,
    /// Time of the last call with it, to about a minute. None: it was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ms: Option<u64>,
    /// Address that it began from.
    pub address: String,
    /// True for the session of the call itself.
    #[serde(default)]
    pub is_current: bool,
}

/// `PUT /api/v3/me/password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangePassword {
    /// The password until now.
    pub present: Secret,
    /// The password from now on.
    pub new: Secret,
}

/// Change that somebody made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditItem {
    /// Id of the event; ids sort by time.
    pub id: String,
    /// Time of the change, in milliseconds since 1970.
    pub at_ms: u64,
    /// Name of the account, or "admin token".
    pub who: String,
    /// Credential: `admin token`, `personal token ID`, `session`, `link` or `password`.
    pub means: String,
    /// Address that the call came from.
    pub address: String,
    /// Method and path of the call, with names of parameters.
    pub operation: String,
    /// Path of the call, with the parameters themselves.
    pub target: String,
    /// Namespace that the change was made in. None: the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// State before the change, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// State after the change, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

/// `GET /api/v3/me`: the one who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The account. None: the caller has the admin token of the server's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserItem>,
    /// Permissions that the token is limited to.
    pub scopes: Vec<Permission>,
}

#[cfg(test)]
mod tests {
    use super::{Permission, Role};

    #[test]
    fn roles_and_permissions_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.as_str()));
        }
        for of in Permission::ALL {
            assert_eq!(of.as_str().parse(), Ok(of));
            assert_eq!(serde_json::to_string(&of).unwrap(), format!("\"{}\"", of.as_str()));
        }
        assert!("Admin".parse::<Role>().is_err());
    }
}
