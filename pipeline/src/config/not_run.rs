//! What is understood but cannot be run yet, besides the keys that [`super::vocabulary`] calls so:
//! certain values of keys. Each is refused by this name where it would run, and let through with
//! a warning where a configuration is only checked. To switch one on, remove it here and let what
//! reported it hand it on.

/// A job that is not built from steps, by its type.
pub(super) fn job_type(name: &str) -> String {
    format!("a job of the type `{name}`")
}
