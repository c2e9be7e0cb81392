//! Table `projects`.

use super::sql::query;
use super::{Conn, StoreError};

/// Returns the names of all projects that have had a pipeline.
pub(crate) async fn names(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let rows = query("SELECT name FROM projects ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}
