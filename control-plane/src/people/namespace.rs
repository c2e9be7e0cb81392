//! Namespaces: the part of a name before its first slash, whoever's name it is.
//!
//! One rule for all: the class `acme/mini`, the context `acme/deploy` and the project `acme/app` are in
//! the namespace `acme`. A name without such a part is in none, and only roles over the server count
//! for it.

use std::collections::BTreeSet;

use russet_protocol::namespaces::is_namespace;
use russet_protocol::people::Permission;

use super::decide::Rights;

/// Returns the namespace of a class, a context or a project. Organizations of hosts of repositories
/// are written with large and small letters and are the same, so large ones count as small.
pub(crate) fn namespace_of(name: &str) -> Option<String> {
    let (first, _) = name.split_once('/')?;
    let namespace = first.to_ascii_lowercase();
    is_namespace(&namespace).then_some(namespace)
}

/// Namespaces in which somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All that there are, and what is in none.
    Everywhere,
    /// These.
    Within(BTreeSet<String>),
}

impl Reach {
    /// Returns the namespaces in which a role gives a permission. Scopes of a token are another
    /// matter, which is decided before (`decide`).
    pub(crate) fn of(rights: &Rights, permission: Permission) -> Self {
        let Rights::Account { role, namespaces, .. } = rights else { return Self::Everywhere };
        if role.is_some_and(|role| role.permission() >= permission) {
            return Self::Everywhere;
        }
        let may = namespaces.iter().filter(|(_, role)| role.permission() >= permission);
        Self::Within(may.map(|(namespace, _)| namespace.clone()).collect())
    }

    /// Returns true for a namespace within reach; `None` stands for the server.
    pub(crate) fn covers(&self, namespace: Option<&str>) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(all) => namespace.is_some_and(|namespace| all.contains(namespace)),
        }
    }

    /// Returns true where the namespace of a class, a context or a project is within reach.
    pub(crate) fn covers_name(&self, name: &str) -> bool {
        *self == Self::Everywhere || self.covers(namespace_of(name).as_deref())
    }
}

/// Returns the namespaces whose events somebody is shown: the one that is asked for, where it is within
/// reach, else all that are. `None`: those of the server too.
pub(crate) fn events_within(reach: Reach, asked: Option<String>) -> Option<Vec<String>> {
    match (reach, asked) {
        (Reach::Everywhere, asked) => asked.map(|namespace| vec![namespace]),
        (Reach::Within(all), None) => Some(all.into_iter().collect()),
        (Reach::Within(all), Some(asked)) => {
            Some(all.into_iter().filter(|namespace| *namespace == asked).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use russet_protocol::people::{Permission, Role};

    use super::{Reach, Rights, namespace_of};

    #[test]
    fn the_namespace_of_a_name_is_the_part_before_its_first_slash() {
        let of = |name| namespace_of(name);
        assert_eq!(of("acme/mini").as_deref(), Some("acme"));
        assert_eq!(of("Acme-Corp/App/x").as_deref(), Some("acme-corp"));
        for none in ["app", "", "/app", "a b/app", "my.org/app", "é/app"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_role_reaches_its_namespace_and_one_over_the_server_everything() {
        let rights = |role, of: Role| Rights::Account {
            role,
            namespaces: BTreeMap::from([("acme".to_owned(), of)]),
            scopes: Permission::ALL.into(),
        };
        let acme = Reach::of(&rights(None, Role::Member), Permission::Submit);
        assert!(acme.covers_name("acme/app") && acme.covers_name("ACME/app"));
        assert!(!acme.covers_name("other/app") && !acme.covers_name("app") && !acme.covers(None));
        let none = Reach::of(&rights(None, Role::Member), Permission::Operate);
        assert!(!none.covers_name("acme/app"));
        let viewer = rights(Some(Role::Viewer), Role::Operator);
        assert_eq!(Reach::of(&viewer, Permission::Read), Reach::Everywhere);
        assert!(!Reach::of(&viewer, Permission::Operate).covers_name("other/mini"));
        assert_eq!(Reach::of(&Rights::Owner, Permission::Admin), Reach::Everywhere);
    }
}
