//! Reason why a round ends early.

use crate::objects::ObjectError;
use crate::store::StoreError;

/// Reason why a round ended early. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] ObjectError),
}
