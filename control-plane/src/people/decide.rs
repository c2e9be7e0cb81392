//! Decides who may make which call. Pure: everything that is not allowed here is denied.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::people::{Permission, Role};

/// Way to the namespace that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The project, the context, the namespace or that of the orb in the path, by name.
    Project,
    Context,
    Namespace,
    /// The project of the slug in the path, by its three parts.
    Slug,
    /// The class, its token, the pipeline, the workflow or the job in the path, by `{id}`.
    Class,
    ClassToken,
    Pipeline,
    Workflow,
    Job,
    /// The class in the query.
    QueriedClass,
    /// Names in the body: the handler asks (`api/reach.rs`).
    Body,
    /// All within reach: the handler lists no others (`api/reach.rs`).
    List,
}

impl Place {
    /// Name in the description of the API.
    #[cfg(test)]
    fn as_str(self) -> &'static str {
        match self {
            Self::Project | Self::Slug => "namespace of the project",
            Self::Context => "namespace of the context",
            Self::Namespace => "namespace in the path",
            Self::Class | Self::QueriedClass => "namespace of the class",
            Self::ClassToken => "namespace of the token",
            Self::Pipeline => "namespace of the pipeline",
            Self::Workflow => "namespace of the workflow",
            Self::Job => "namespace of the job",
            Self::Body => "namespace in the body",
            Self::List => "namespaces within reach",
        }
    }
}

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
    /// A permission in the namespace that the call is about.
    In(Permission, Place),
    /// A permission in some namespace: the call is about nothing in one.
    Anywhere(Permission),
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
            Self::Of(permission) | Self::In(permission, _) | Self::Anywhere(permission) => {
                permission.as_str()
            }
            Self::Owner => "owner",
        }
    }

    /// Name of what the requirement is about, in the description of the API.
    #[cfg(test)]
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::Nothing | Self::ClassToken | Self::TaskToken => "none",
            Self::Account | Self::Anybody => "account",
            Self::Of(_) | Self::Owner => "server",
            Self::In(_, place) => place.as_str(),
            Self::Anywhere(_) => "anywhere",
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
    /// No role of the account has the permission in the namespace, which it may not see.
    Hidden(Permission),
    /// The token is limited to other permissions.
    Scope(Permission),
    /// The admin token alone will do.
    OwnerOnly,
    /// The admin token is nobody's account.
    NoAccount,
    /// The credential is for something else.
    Credential,
    /// What is held for somebody else is reached by that person, and by administrators.
    OthersSsh,
}

/// Decides a call of a person or a tool, before the namespace that it is about is known.
pub(crate) fn decide(rights: &Rights, needs: Needs) -> Result<(), Denial> {
    match (needs, rights) {
        (Needs::Nothing | Needs::Anybody, _)
        | (Needs::Owner | Needs::Of(_) | Needs::In(..) | Needs::Anywhere(_), Rights::Owner)
        | (Needs::Account, Rights::Account { .. }) => Ok(()),
        (Needs::Account, Rights::Owner) => Err(Denial::NoAccount),
        (Needs::Owner, Rights::Account { .. }) => Err(Denial::OwnerOnly),
        (Needs::ClassToken | Needs::TaskToken, _) => Err(Denial::Credential),
        (Needs::Of(permission), Rights::Account { role, scopes, .. }) => {
            decide_role(*role, scopes, permission)
        }
        (
            Needs::In(permission, _) | Needs::Anywhere(permission),
            Rights::Account { role, namespaces, scopes },
        ) => {
            let greatest = namespaces.values().copied().chain(*role).max();
            decide_role(greatest, scopes, permission)
        }
    }
}

/// Decides what somebody may do in a namespace; `None`: with what is in none. A role over the server
/// counts in all of them.
pub(crate) fn decide_in(
    rights: &Rights,
    permission: Permission,
    namespace: Option<&str>,
) -> Result<(), Denial> {
    let Rights::Account { role, namespaces, scopes } = rights else { return Ok(()) };
    let there = namespace.and_then(|namespace| namespaces.get(namespace)).copied();
    match there.max(*role) {
        None => Err(Denial::Hidden(permission)),
        role => decide_role(role, scopes, permission),
    }
}

fn decide_role(
    role: Option<Role>,
    scopes: &BTreeSet<Permission>,
    permission: Permission,
) -> Result<(), Denial> {
    if role.is_none_or(|role| role.permission() < permission) {
        Err(Denial::Role(permission))
    } else if !scopes.contains(&permission) {
        Err(Denial::Scope(permission))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use russet_protocol::people::{Permission, Role};

    use super::{Denial, Needs, Place, Rights, decide, decide_in};

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

    #[test]
    fn a_role_in_a_namespace_counts_there_and_what_is_elsewhere_is_hidden() {
        let rights = |role, scopes: &[Permission]| Rights::Account {
            role,
            namespaces: BTreeMap::from([("acme".to_owned(), Role::Operator)]),
            scopes: scopes.iter().copied().collect(),
        };
        let here = rights(None, &Permission::ALL);
        assert_eq!(decide_in(&here, Permission::Operate, Some("acme")), Ok(()));
        assert_eq!(
            decide_in(&here, Permission::Admin, Some("acme")),
            Err(Denial::Role(Permission::Admin))
        );
        for elsewhere in [Some("other"), None] {
            let hidden = Err(Denial::Hidden(Permission::Read));
            assert_eq!(decide_in(&here, Permission::Read, elsewhere), hidden);
        }
        assert_eq!(decide(&here, Needs::Of(Permission::Read)), Err(Denial::Role(Permission::Read)));
        for needs in [Needs::In(Permission::Operate, Place::Job), Needs::Anywhere(Permission::Read)]
        {
            assert_eq!(decide(&here, needs), Ok(()));
        }
        let viewer = rights(Some(Role::Viewer), &Permission::ALL);
        assert_eq!(decide_in(&viewer, Permission::Read, Some("other")), Ok(()));
        let denied = Err(Denial::Role(Permission::Operate));
        assert_eq!(decide_in(&viewer, Permission::Operate, Some("other")), denied);
        let limited = rights(None, &[Permission::Read]);
        let denied = Err(Denial::Scope(Permission::Submit));
        assert_eq!(decide_in(&limited, Permission::Submit, Some("acme")), denied);
        assert_eq!(decide_in(&Rights::Owner, Permission::Admin, None), Ok(()));
    }
}
