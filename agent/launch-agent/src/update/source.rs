//! Sources of releases: a directory behind HTTPS, a bucket, the releases of a GitHub repository, or
//! the control plane itself. Sources are not trusted: what they say is believed for its signature.

use russet_protocol::manifest::FILE_NAME;

use super::request::FetchError;
use super::servers::{self, Host, Servers};

/// Source of releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `control-plane`: the one that tasks come from, which knows what its classes are to run.
    ControlPlane,
    /// `https://…`: `manifest.json` and its archives below this address.
    Directory(String),
    /// `github:OWNER/REPOSITORY`: the assets of its newest release with a manifest.
    GitHub {
        /// The owner.
        owner: String,
        /// The repository.
        name: String,
        /// Another server than GitHub's own.
        api: Option<String>,
    },
    /// `s3://BUCKET/PREFIX?region=…` or `…?endpoint=https://…`: objects `PREFIX/VERSION/NAME`.
    S3 {
        /// The bucket.
        bucket: String,
        /// Prefix of all keys.
        prefix: String,
        /// Its region.
        region: Option<String>,
        /// Another server than Amazon's.
        endpoint: Option<String>,
    },
}

/// The text is no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no source of updates")]
pub struct SourceError(String);

impl std::str::FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        parse(text).ok_or_else(|| SourceError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Source> {
    if text == "control-plane" {
        return Some(Source::ControlPlane);
    }
    if let Some(repository) = text.strip_prefix("github:") {
        let (path, api) = match repository.split_once("?api=") {
            Some((path, api)) => (path, Some(check_secure(api)?)),
            None => (repository, None),
        };
        let (owner, name) = path.split_once('/')?;
        let is_word = |word: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !word.is_empty() && word.chars().all(fits)
        };
        let (owner, name) = (owner.to_owned(), name.to_owned());
        return (is_word(&owner) && is_word(&name)).then_some(Source::GitHub { owner, name, api });
    }
    if text.starts_with("s3://") {
        let url = reqwest::Url::parse(text).ok()?;
        let value = |key: &str| {
            let mut pairs = url.query_pairs();
            pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
        };
        let endpoint = match value("endpoint") {
            Some(endpoint) => Some(check_secure(&endpoint)?),
            None => None,
        };
        let region = value("region");
        let (bucket, prefix) =
            (url.host_str()?.to_owned(), url.path().trim_matches('/').to_owned());
        // Where Amazon's own bucket is, its region says.
        return (region.is_some() || endpoint.is_some()).then_some(Source::S3 {
            bucket,
            prefix,
            region,
            endpoint,
        });
    }
    Some(Source::Directory(check_secure(text)?))
}

/// An address behind TLS, or on this machine. Threat: a signature says that a release is ours, not
/// that the newest one is shown; who is on the way should not even choose among those.
fn check_secure(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let fits = url.scheme() == "https"
        || (url.scheme() == "http" && russet_platform::http::is_loopback(&url));
    (fits && url.query().is_none()).then(|| text.trim_end_matches('/').to_owned())
}

impl Source {
    /// Servers that may be asked: that of the source, and these.
    pub(super) fn servers(
        &self,
        control_plane: &str,
        hosts: &[Host],
    ) -> Result<Servers, FetchError> {
        let mut others = hosts.to_vec();
        if let Self::GitHub { api: None, .. } = self {
            others.extend(servers::GITHUB.iter().filter_map(|host| host.parse().ok()));
        }
        Ok(Servers::new(&self.origin(control_plane), others)?)
    }

    /// Address of the server that is asked first.
    pub(super) fn origin(&self, control_plane: &str) -> String {
        match self {
            Self::ControlPlane => control_plane.to_owned(),
            Self::Directory(base) => base.clone(),
            Self::GitHub { api: Some(api), .. } => api.clone(),
            Self::GitHub { .. } => "https://api.github.com".to_owned(),
            Self::S3 { endpoint: Some(endpoint), .. } => endpoint.clone(),
            Self::S3 { bucket, region, .. } => {
                let region = region.as_deref().unwrap_or_default();
                format!("https://{bucket}.s3.{region}.amazonaws.com")
            }
        }
    }

    /// Words for a source that shows no release.
    pub(super) fn absence(&self) -> String {
        match self {
            Self::ControlPlane => "the control plane has no release for this runner".to_owned(),
            Self::Directory(base) => format!("there is no {FILE_NAME} at {base}"),
            Self::GitHub { owner, name, .. } => {
                format!("no release of {owner}/{name} has a {FILE_NAME}")
            }
            Self::S3 { bucket, .. } => {
                format!("no version in the bucket {bucket} has a {FILE_NAME}")
            }
        }
    }

    /// Returns true if the source says which channel this machine follows.
    pub(super) fn chooses(&self) -> bool {
        matches!(self, Self::ControlPlane)
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn sources_are_told_apart_and_what_is_not_safe_is_none() {
        let parse = |text: &str| text.parse::<Source>().ok();
        assert_eq!(parse("control-plane"), Some(Source::ControlPlane));
        let directory = Source::Directory("https://dl.example.com/russet".to_owned());
        assert_eq!(parse("https://dl.example.com/russet/"), Some(directory));
        assert!(matches!(parse("github:acme/russet"), Some(Source::GitHub { api: None, .. })));
        let bucket = parse("s3://releases/russet/mac?region=eu-west-1");
        assert!(matches!(bucket, Some(Source::S3 { prefix, .. }) if prefix == "russet/mac"));
        for bad in [
            "",
            "no",
            "http://dl.example.com",
            "ftp://dl.example.com",
            "github:acme",
            "github:a/b/c",
            "s3://releases",
            "s3://releases?endpoint=http://minio.example.com",
            "file:///tmp",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
