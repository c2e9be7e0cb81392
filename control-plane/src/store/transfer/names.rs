//! Names of objects that rows of a database name.

use std::collections::BTreeMap;

use super::TransferError;
use super::cell::{Cell, Kind};
use super::schema;
use super::side::Side;

/// Column with the name of an object.
const OBJECT: &str = "object";

/// Column with the BLAKE3 of that object.
const HASH: &str = "blake3";

/// Table of objects that no row names any more, until they are deleted.
const UNNAMED: &str = "unnamed_objects";

/// Objects by name, each with its BLAKE3 where a row says it.
pub(crate) type Named = BTreeMap<String, Option<String>>;

/// Returns all objects that rows name: by every column `object`, and the snapshots of sources whose
/// object has the name of their hash.
pub(crate) async fn named_objects(side: &mut Side) -> Result<Named, TransferError> {
    let mut named = Named::new();
    let mut has_named_sources = false;
    for table in schema::tables(side).await? {
        if !table.has(OBJECT) || table.name == UNNAMED {
            continue;
        }
        has_named_sources |= table.name == "sources";
        let (name, has_hash) = (&table.name, table.has(HASH));
        let hash = if has_hash { HASH } else { "NULL" };
        let hash = if side.is_postgres() { format!("{hash}::text") } else { hash.to_owned() };
        // One that is empty says that there is none.
        let text = format!("SELECT {OBJECT}, {hash} FROM \"{name}\" WHERE {OBJECT} <> ''");
        let rows = side.fetch(text, Vec::new(), &[Kind::Text, Kind::Text]).await?;
        for row in rows {
            if let Ok([Cell::Text(Some(object)), Cell::Text(hash)]) = <[Cell; 2]>::try_from(row) {
                let known = named.entry(object).or_default();
                *known = known.take().or(hash);
            }
        }
    }
    let sources = match has_named_sources {
        true => "SELECT id FROM sources WHERE object IS NULL",
        false => "SELECT id FROM sources",
    };
    for id in side.texts(sources).await? {
        named.insert(crate::sources::first_object(&id.clone().into()), Some(id));
    }
    Ok(named)
}
