//! Decides who may make which call. Pure: everything that is not allowed here is denied.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::people::{Permission, Role};

/// Requirement of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: what is answered is no secret, or the body carries the right to it.
    Nothing,
    /// The token of a resource class, which the handler takes.
    ClassToken,
    /// The token of a task, which the handler takes.
    TaskToken,
    /// An account, whatever its role: the call is about the account itself.
    Account,
    /// Either an account or the admin token.
    Anybody,
    /// A permission over the server.
    Of(Permission),
    /// The admin token, which the owner of the server's machine has.
    Owner,
}

impl Needs {
    /// Name in the description of the API.
    #[cfg(test)]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::ClassToken => "class_token",
            Self::TaskToken => "task_token",
            Self::Account => "account",
            Self::Anybody => "anybody",
            Self::Of(permission) => permission.as_str(),
            Self::Owner => "owner",
        }
    }
}

/// Rights of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// All: the caller has the admin token.
    Owner,
    /// Those of an account, as far as the scopes of its token go.
    Account {
        /// Role over the server.
        role: Option<Role>,
        /// Roles in namespaces.
        namespaces: BTreeMap<String, Role>,
        /// Limit of the token, or all in a session of a browser.
        scopes: BTreeSet<Permission>,
    },
}

impl Rights {
    /// Returns true for a limit that these rights could set for somebody else's token.
    pub(crate) fn covers(&self, wanted: &[Permission]) -> bool {
        match self {
            Self::Owner => true,
            Self::Account { scopes, .. } => wanted.iter().all(|of| scopes.contains(of)),
        }
    }
}

/// Reason for a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No role of the account has the permission.
    Role(Permission),
    /// The token is limited to other permissions.
    Scope(Permission),
    /// The admin token alone will do.
    OwnerOnly,
    /// The admin token is nobody's account.
    NoAccount,
    /// The credential is for something else.
    Credential,
}

/// Decides a call of a person or a tool.
pub(crate) fn decide(rights: &Rights, needs: Needs) -> Result<(), Denial> {
    match (needs, rights) {
        (Needs::Nothing | Needs::Anybody, _)
        | (Needs::Owner | Needs::Of(_), Rights::Owner)
        | (Needs::Account, Rights::Account { .. }) => Ok(()),
        (Needs::Account, Rights::Owner) => Err(Denial::NoAccount),
        (Needs::Owner, Rights::Account { .. }) => Err(Denial::OwnerOnly),
        (Needs::ClassToken | Needs::TaskToken, _) => Err(Denial::Credential),
        (Needs::Of(permission), Rights::Account { role, scopes, .. }) => {
            if role.is_none_or(|role| role.permission() < permission) {
                Err(Denial::Role(permission))
            } else if !scopes.contains(&permission) {
                Err(Denial::Scope(permission))
            } else {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use russet_protocol::people::{Permission, Role};

    use super::{Denial, Needs, Rights, decide};

    fn account(role: Option<Role>, scopes: &[Permission]) -> Rights {
        let scopes = scopes.iter().copied().collect();
        Rights::Account { role, namespaces: BTreeMap::new(), scopes }
    }

    #[test]
    fn each_role_has_its_permissions_and_those_of_the_roles_before_it() {
        let allowed = |role| {
            let rights = account(role, &Permission::ALL);
            Permission::ALL.map(|of| decide(&rights, Needs::Of(of)).is_ok())
        };
        assert_eq!(allowed(None), [false, false, false, false]);
        assert_eq!(allowed(Some(Role::Viewer)), [true, false, false, false]);
        assert_eq!(allowed(Some(Role::Member)), [true, true, false, false]);
        assert_eq!(allowed(Some(Role::Operator)), [true, true, true, false]);
        assert_eq!(allowed(Some(Role::Admin)), [true, true, true, true]);
    }

    #[test]
    fn a_token_does_nothing_outside_its_scopes_whatever_the_role_is() {
        for scope in Permission::ALL {
            let rights = account(Some(Role::Admin), &[scope]);
            for of in Permission::ALL {
                assert_eq!(decide(&rights, Needs::Of(of)).is_ok(), of == scope);
            }
        }
        let rights = account(Some(Role::Admin), &[Permission::Read]);
        assert!(rights.covers(&[Permission::Read]) && !rights.covers(&Permission::ALL));
    }

    #[test]
    fn the_owner_may_do_all_that_people_may_and_has_no_account() {
        for of in Permission::ALL {
            assert!(decide(&Rights::Owner, Needs::Of(of)).is_ok());
        }
        assert!(decide(&Rights::Owner, Needs::Owner).is_ok());
        assert_eq!(decide(&Rights::Owner, Needs::Account), Err(Denial::NoAccount));
        let admin = account(Some(Role::Admin), &Permission::ALL);
        assert_eq!(decide(&admin, Needs::Owner), Err(Denial::OwnerOnly));
        assert_eq!(decide(&admin, Needs::TaskToken), Err(Denial::Credential));
        assert_eq!(decide(&Rights::Owner, Needs::ClassToken), Err(Denial::Credential));
    }
}
