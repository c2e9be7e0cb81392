//! Claims of namespaces by their first use.

use russet_protocol::namespaces::{
    MAX_NAMESPACE_BYTES, NamespaceItem, NamespaceOwner, is_namespace,
};

use crate::api::error::ApiError;
use crate::people::namespace_of;
use crate::state::App;
use crate::store::{WriteTx, namespaces};

/// Refuses a name that cannot be one of a namespace.
pub(super) fn check_namespace(name: &str) -> Result<(), ApiError> {
    if is_namespace(name) {
        return Ok(());
    }
    let words = format!("a namespace is 1 to {MAX_NAMESPACE_BYTES} of a-z, 0-9, `-` and `_`");
    Err(ApiError::Bad(words))
}

/// Claims the namespace of a class, a context or a project for the organization of its name, where
/// nobody has claimed it: its first use by somebody with a role over the server is the claim.
pub(in crate::api) async fn claim_on_first_use(
    app: &App,
    tx: &mut WriteTx,
    name: &str,
    by: &str,
) -> Result<(), ApiError> {
    let Some(namespace) = namespace_of(name) else { return Ok(()) };
    claim_namespace(app, tx, &namespace, by).await
}

/// Claims a namespace for the organization of its name, where nobody has claimed it.
pub(super) async fn claim_namespace(
    app: &App,
    tx: &mut WriteTx,
    namespace: &str,
    by: &str,
) -> Result<(), ApiError> {
    if namespaces::get(tx, namespace).await?.is_some() {
        return Ok(());
    }
    let item = NamespaceItem {
        name: namespace.to_owned(),
        owner: NamespaceOwner::Organization(namespace.to_owned()),
        created_by: by.to_owned(),
        created_ms: app.now_ms(),
    };
    if namespaces::claim(tx, &item).await? {
        tracing::info!(namespace, by, "claimed a namespace with its first use");
    }
    Ok(())
}
