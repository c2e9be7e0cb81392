//! Releases, as calls look at them.

use crate::api::error::ApiError;
use crate::releases::Release;
use crate::state::App;

/// Looks at the releases on a thread that may block.
pub(in crate::api) async fn with_releases<T: Send + 'static>(
    app: &App,
    look: impl FnOnce(&[Release]) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let app = app.clone();
    let found = tokio::task::spawn_blocking(move || look(&app.releases.list())).await;
    found.map_err(|error| ApiError::Internal(Box::new(error)))
}
