//! Reading columns that hold our own types.

use std::str::FromStr;

use super::StoreError;
use super::sql::Row;
use crate::people::Reach;

/// A column that holds the name of something.
pub(super) fn parse<T: FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Unreadable { what: format!("{column} `{text}`") })
}

/// A column that may hold the name of something.
pub(super) fn parse_maybe<T: FromStr>(row: &Row, column: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| {
        text.parse().map_err(|_| StoreError::Unreadable { what: format!("{column} `{text}`") })
    })
    .transpose()
}

/// A column that holds JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Unreadable { what: format!("{column}: {error}") })
}

/// A column that may hold JSON.
pub(super) fn json_maybe<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    let parse = |text: String| {
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Unreadable { what: format!("{column}: {error}") })
    };
    text.map(parse).transpose()
}

/// Keys as one value of a statement, which reads them by `json_each($1)`: so a page of rows takes as
/// many statements as one of them does.
pub(super) fn keys(
    keys: impl IntoIterator<Item = impl serde::Serialize>,
) -> Result<String, StoreError> {
    to_json(&keys.into_iter().collect::<Vec<_>>())
}

/// Our own types as JSON.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unreadable { what: format!("a value: {error}") })
}

/// A column that counts and is never below zero.
pub(super) fn count_column(row: &Row, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<i64>(column)?).unwrap_or(0))
}

/// The same, where there may be none.
pub(super) fn count_maybe(row: &Row, column: &str) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

/// A count as the database keeps it.
pub(super) fn int_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A column `namespaces`: those whose classes may be used; null is all of them.
pub(super) fn reach_column(row: &Row) -> Result<Reach, StoreError> {
    Ok(json_maybe(row, "namespaces")?.map_or(Reach::Everywhere, Reach::Within))
}

/// A reach as the database keeps it.
pub(super) fn reach_value(reach: &Reach) -> Result<Option<String>, StoreError> {
    match reach {
        Reach::Everywhere => Ok(None),
        Reach::Within(all) => to_json(all).map(Some),
    }
}
