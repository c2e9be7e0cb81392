//! The conversation with a registry: the public GraphQL query that CircleCI's own command line
//! makes (`circleci orb source`, in its 0.1 releases), and what that reads of the answer.

use serde::{Deserialize, Serialize};

/// Asks for one version with its source.
pub(crate) const SOURCE: &str = "query($orbVersionRef: String!) { \
     orbVersion(orbVersionRef: $orbVersionRef) { id version orb { id } source } }";

/// Asks which versions an orb has, newest first.
pub(crate) const VERSIONS: &str = "query($orbVersionRef: String!) { \
     orbVersion(orbVersionRef: $orbVersionRef) { id version orb { id versions(count: 200) { \
     version } } } }";

/// A query about one version of an orb.
#[derive(Debug, Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) query: &'a str,
    pub(crate) variables: Variables<'a>,
}

/// The variables of a [`Question`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variables<'a> {
    /// `namespace/name@version`.
    pub(crate) orb_version_ref: &'a str,
}

/// The answer to a [`Question`].
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    errors: Option<Vec<Complaint>>,
}

impl Answer {
    /// The version that was asked for. `None` where there is none: it is null, or has no id.
    pub(crate) fn version(self) -> Option<Version> {
        let found = self.data.and_then(|data| data.orb_version);
        found.filter(|version| version.id.as_deref().is_some_and(|id| !id.is_empty()))
    }

    /// Complaints of the registry, in one line. `None` where it does not.
    pub(crate) fn complaint(&self) -> Option<String> {
        let all = self.errors.as_deref().filter(|errors| !errors.is_empty())?;
        let texts: Vec<&str> = all.iter().map(|error| error.message.as_str()).collect();
        Some(texts.join("; "))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    orb_version: Option<Version>,
}

/// An error in the answer.
#[derive(Debug, Deserialize)]
struct Complaint {
    #[serde(default)]
    message: String,
}

/// A version of an orb.
#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) source: Option<String>,
    #[serde(default)]
    orb: Option<OrbOf>,
}

impl Version {
    /// The versions that the orb has.
    pub(crate) fn siblings(self) -> Vec<String> {
        let all = self.orb.and_then(|orb| orb.versions).unwrap_or_default();
        all.into_iter().filter_map(|sibling| sibling.version).collect()
    }
}

#[derive(Debug, Deserialize)]
struct OrbOf {
    #[serde(default)]
    versions: Option<Vec<Sibling>>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    #[serde(default)]
    version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn a_version_without_an_id_is_none() {
        for text in [
            r#"{"data": {"orbVersion": null}}"#,
            r#"{"data": {"orbVersion": {}}}"#,
            r#"{"data": {"orbVersion": {"id": ""}}}"#,
            r#"{"data": null, "errors": null}"#,
            "{}",
        ] {
            let answer: Answer = serde_json::from_str(text).unwrap();
            assert_eq!(answer.complaint(), None, "{text}");
            assert!(answer.version().is_none(), "{text}");
        }
    }
}
