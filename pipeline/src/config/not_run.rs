//! Parts that are understood but cannot be run, besides the keys that [`crate::vocabulary`] names:
//! certain values of keys. Each is refused by this name where it would run, and let through with
//! a warning where a configuration is only checked. To switch one on, remove it here and let what
//! reported it hand it on.

/// A job that is not built from steps, by its type.
pub(super) fn job_type(name: &str) -> String {
    format!("a job of the type `{name}`")
}

/// Returns what to write in place of a job of a type.
pub(super) fn replacement_for(name: &str) -> &'static str {
    match name {
        "release" => "releases are CircleCI's own service: write a job whose steps deploy",
        _ => "give the jobs that wait for each other the same `serial-group` in their workflows",
    }
}
