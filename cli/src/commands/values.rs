//! Values of arguments, as clap parses them.

use std::net::SocketAddr;
use std::time::Duration;

use russet_pipeline::{is_orb_name, is_orb_version};
use russet_protocol::resource_class::{InvalidResourceClass, ResourceClass};
use russet_text::{ParseDurationError, ParseSizeError};

/// Reasons why a value is refused, with what to write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidValue {
    #[error(transparent)]
    Duration(#[from] ParseDurationError),
    #[error("it must be longer than zero")]
    ZeroDuration,
    #[error(transparent)]
    Size(#[from] ParseSizeError),
    #[error("it must be at least one byte")]
    ZeroSize,
    #[error("it is larger than any disk")]
    HugeSize,
    #[error("write an IP address and a port, as in `127.0.0.1:8080` or `[::1]:8080`")]
    Address,
    #[error("a parameter is given as NAME=VALUE")]
    Parameter,
    #[error("an alias is given as NAME=NAMESPACE/NAME")]
    Alias,
    #[error(transparent)]
    Class(#[from] InvalidResourceClass),
    #[error("an orb is named as in circleci/node@5.1.0 or acme/tools@dev:mine")]
    Orb,
    #[error("no task is called so; `russet agent status` shows those that run")]
    TaskId,
}

/// Result of parsing a value.
type Parsed<T> = Result<T, InvalidValue>;

/// Parses a duration that is longer than zero.
pub(crate) fn parse_duration(text: &str) -> Parsed<Duration> {
    match russet_text::parse_duration(text)? {
        duration if duration.is_zero() => Err(InvalidValue::ZeroDuration),
        duration => Ok(duration),
    }
}

/// Returns a duration in whole seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Parses a size of at least one byte.
pub(crate) fn parse_size(text: &str) -> Parsed<u64> {
    match russet_text::parse_size(text)? {
        0 => Err(InvalidValue::ZeroSize),
        // The database counts in signed numbers.
        bytes if i64::try_from(bytes).is_err() => Err(InvalidValue::HugeSize),
        bytes => Ok(bytes),
    }
}

/// Parses an address to listen on. Names are not looked up: one may stand for several addresses.
pub(crate) fn parse_address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| InvalidValue::Address)
}

/// Parses `NAME=VALUE`.
pub(crate) fn parse_parameter(text: &str) -> Parsed<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(InvalidValue::Parameter),
    }
}

/// Parses `NAME=NAMESPACE/NAME`.
pub(crate) fn parse_class_alias(text: &str) -> Parsed<(String, ResourceClass)> {
    match text.split_once('=') {
        Some((name, class)) if !name.is_empty() => Ok((name.to_owned(), class.parse()?)),
        _ => Err(InvalidValue::Alias),
    }
}

/// Parses the id of a task, which stands in the URL of a call, where nothing else may be meant.
pub(crate) fn parse_task_id(text: &str) -> Parsed<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_id = !text.is_empty() && !text.starts_with('.') && text.chars().all(fits);
    if is_id { Ok(text.to_owned()) } else { Err(InvalidValue::TaskId) }
}

/// Name and version of an orb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrbReference {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Parses `namespace/name@1.2.3`.
pub(crate) fn parse_orb_reference(text: &str) -> Parsed<OrbReference> {
    let parts = text.split_once('@');
    match parts.filter(|(name, version)| is_orb_name(name) && is_orb_version(version)) {
        Some((name, version)) => {
            Ok(OrbReference { name: name.to_owned(), version: version.to_owned() })
        }
        None => Err(InvalidValue::Orb),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_duration, parse_size, parse_task_id, whole_seconds};

    #[test]
    fn a_part_of_a_second_is_one() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }

    #[test]
    fn durations_need_a_unit_and_some_length() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("2d"), Ok(Duration::from_secs(2 * 86_400)));
        for wrong in ["", "0", "0s", "5", "-1s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit_and_are_not_zero() {
        assert_eq!(parse_size("17"), Ok(17));
        assert_eq!(parse_size("1.5GB"), Ok(1_500_000_000));
        for wrong in ["", "0", "0B", "-1GB", "18EB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_leads_to_no_other_call() {
        assert!(parse_task_id("0193c1f0-3c5e-7d7e-9f6a-2b1d5c3a4e5f").is_ok());
        for wrong in ["", "..", "../drain?", "a/b", "a b", "%2e"] {
            assert!(parse_task_id(wrong).is_err(), "{wrong}");
        }
    }
}
