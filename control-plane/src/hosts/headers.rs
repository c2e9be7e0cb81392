//! Headers of calls.

/// Headers of each call to GitHub
/// (<https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api>).
pub(super) const GITHUB: [(&str, &str); 2] =
    [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];

/// Headers of each call to others.
pub(super) const PLAIN: [(&str, &str); 1] = [("accept", "application/json")];
