//! `russet server vacuum`: writes the SQLite database anew, while no server uses it.

use std::error::Error;
use std::path::Path;

use crate::data_dir::DataDir;
use crate::server::StartError;
use crate::store::{VacuumError, Vacuumed, vacuum_database};

/// Writes the database of a data directory anew: free pages go back to the disk, now and from then
/// on.
///
/// # Errors
///
/// A server uses the directory, or the disk has no room for a second database beside the first. The
/// database is as it was then.
pub async fn vacuum_data_dir(path: &Path) -> Result<Vacuumed, StartError> {
    let failed = |error: Box<dyn Error + Send + Sync>| StartError::DataDir(path.to_owned(), error);
    let database = path.join("russet.db");
    if !database.exists() {
        return Err(failed(Box::new(VacuumError::Gone(database))));
    }
    let dir = DataDir::open(path).map_err(|error| failed(Box::new(error)))?;
    vacuum_database(&dir.database()).await.map_err(|error| failed(Box::new(error)))
}
