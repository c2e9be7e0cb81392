//! Sources of releases: a directory behind HTTPS, a bucket, the releases of a GitHub repository, or
//! the control plane itself. Sources are not trusted: what they say is believed for its signature.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use russet_protocol::PIN_HEADER;
use russet_protocol::admin::Pin;
use russet_protocol::manifest::{FILE_NAME, LARGEST};
use self_update::backends::{github, s3};

use super::UpdateError;

/// Timeout of a source's answer.
const TIMEOUT: Duration = Duration::from_secs(60);

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

/// A manifest as it was found, and where its archives are.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) envelope: Vec<u8>,
    archives: Archives,
}

#[derive(Debug)]
enum Archives {
    /// Below this address.
    Beside(String),
    /// By their names.
    Listed(Vec<(String, String)>),
}

impl Found {
    /// Returns the URL of an archive.
    pub(super) fn address(&self, file: &str) -> Result<String, UpdateError> {
        match &self.archives {
            Archives::Beside(base) => Ok(format!("{base}/{file}")),
            Archives::Listed(assets) => {
                let asset = assets.iter().find(|(name, _)| name == file);
                asset.map(|(_, url)| url.clone()).ok_or_else(|| UpdateError::Fetch {
                    what: file.to_owned(),
                    why: "the release has no such file".to_owned(),
                })
            }
        }
    }
}

impl Source {
    /// Returns true if archives are behind redirects to other servers.
    pub(super) fn redirects(&self) -> bool {
        matches!(self, Self::GitHub { .. })
    }

    /// Returns true if the source says which channel this machine follows.
    pub(super) fn chooses(&self) -> bool {
        matches!(self, Self::ControlPlane)
    }

    /// Fetches the newest manifest. None: the control plane has none for this runner. And what the
    /// control plane holds this runner at, if it says so.
    pub(super) async fn look(
        &self,
        client: &Client,
        control_plane: &str,
        runner: &str,
    ) -> Result<(Option<Found>, Option<Pin>), UpdateError> {
        let (address, archives) = match self {
            Self::ControlPlane => {
                let base = format!(
                    "{control_plane}/api/v3/updates/{}",
                    russet_text::encode_segment(runner)
                );
                (format!("{base}/{FILE_NAME}"), Archives::Beside(base))
            }
            Self::Directory(base) => {
                (format!("{base}/{FILE_NAME}"), Archives::Beside(base.clone()))
            }
            Self::GitHub { .. } | Self::S3 { .. } => {
                let assets = self.list(client).await?;
                let manifest = assets.iter().find(|(name, _)| name == FILE_NAME);
                let Some((_, address)) = manifest else { return Ok((None, None)) };
                (address.clone(), Archives::Listed(assets))
            }
        };
        let (envelope, pin) = fetch_small(client, &address).await?;
        let is_none = envelope.is_none() && *self != Self::ControlPlane;
        if is_none {
            return Err(fetch_error(FILE_NAME, "it is not there"));
        }
        let pin = pin.filter(|_| self.chooses());
        Ok((envelope.map(|envelope| Found { envelope, archives }), pin))
    }

    /// The files of the newest release that has a manifest, with their addresses.
    async fn list(&self, client: &Client) -> Result<Vec<(String, String)>, UpdateError> {
        let failed =
            |error: self_update::errors::Error| fetch_error("the list of releases", &error);
        let releases = match self {
            Self::GitHub { owner, name, api } => {
                let mut list = github::ReleaseList::configure();
                list.repo_owner(owner).repo_name(name).timeout(TIMEOUT);
                list.reqwest_async_client(client.clone());
                if let Some(api) = api {
                    list.api_base_url(api);
                }
                list.build().map_err(failed)?.fetch_async().await.map_err(failed)?
            }
            Self::S3 { bucket, prefix, region, endpoint } => {
                let mut list = s3::ReleaseList::configure();
                list.bucket_name(bucket).timeout(TIMEOUT).asset_key_pattern(KEY);
                list.reqwest_async_client(client.clone());
                if !prefix.is_empty() {
                    list.asset_prefix(format!("{prefix}/"));
                }
                if let Some(region) = region {
                    list.region(region);
                }
                if let Some(endpoint) = endpoint {
                    list.endpoint(format!("{endpoint}/"));
                }
                list.build().map_err(failed)?.fetch_async().await.map_err(failed)?
            }
            Self::ControlPlane | Self::Directory(_) => return Ok(Vec::new()),
        };
        // A bucket has no releases: there each file is one, with the version in its key.
        let mut by_version = BTreeMap::<_, Vec<(String, String)>>::new();
        for release in releases {
            let version = semver::Version::parse(release.version()).ok();
            let assets = release.assets().iter();
            let assets =
                assets.map(|asset| (last_component(asset.name()), asset.download_url().to_owned()));
            by_version.entry(version).or_default().extend(assets);
        }
        let has_manifest =
            |assets: &Vec<(String, String)>| assets.iter().any(|(name, _)| name == FILE_NAME);
        Ok(by_version.into_values().rev().find(has_manifest).unwrap_or_default())
    }
}

/// Keys of objects: `1.2.0/manifest.json` behind the prefix.
const KEY: &str = r"(?P<prefix>.*/)?(?P<version>\d+\.\d+\.\d+[^/]*)/(?P<name>[^/]+)$";

/// The last part of a name with slashes.
fn last_component(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

fn fetch_error(what: &str, why: impl std::fmt::Display) -> UpdateError {
    UpdateError::Fetch { what: what.to_owned(), why: why.to_string() }
}

/// A file that is no longer than a manifest is, and the pin that was told with it. `None`: it is
/// not there.
async fn fetch_small(
    client: &Client,
    address: &str,
) -> Result<(Option<Vec<u8>>, Option<Pin>), UpdateError> {
    // The address may hold a signature of a private bucket.
    let failed = |error: reqwest::Error| fetch_error(FILE_NAME, error.without_url());
    let request = client.get(address).timeout(TIMEOUT).header("accept", "application/octet-stream");
    let mut response = request.send().await.map_err(failed)?;
    let pin = response.headers().get(PIN_HEADER);
    let pin = pin.and_then(|pin| serde_json::from_slice(pin.as_bytes()).ok());
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok((None, pin));
    }
    if !response.status().is_success() {
        return Err(fetch_error(FILE_NAME, format!("the source answered {}", response.status())));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
            return Err(fetch_error(FILE_NAME, format!("it is longer than {LARGEST} bytes")));
        }
    }
    Ok((Some(text), pin))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Query;
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use std::collections::HashMap;

    use super::Source;

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn look(source: &str) -> Option<super::Found> {
        let source: Source = source.parse().unwrap();
        let client = russet_platform::http::api_client("http://127.0.0.1:1", None, None).unwrap();
        source.look(&client, "http://127.0.0.1:1", "mini 1").await.unwrap().0
    }

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

    #[tokio::test]
    async fn the_newest_release_with_a_manifest_is_found_on_github() {
        let releases = |base: &str| {
            let asset = |name: &str| serde_json::json!({ "name": name, "url": format!("{base}/get/{name}") });
            serde_json::json!([
                { "tag_name": "v1.3.0", "name": "no manifest yet", "created_at": "", "assets": [asset("other.txt")] },
                { "tag_name": "v1.2.0", "name": "", "created_at": "", "assets": [asset("manifest.json"), asset("a.tar.gz")] },
                { "tag_name": "v1.1.0", "name": "", "created_at": "", "assets": [asset("manifest.json")] },
            ])
        };
        let router = Router::new()
            .route(
                "/repos/acme/russet/releases",
                get(async move |headers: axum::http::HeaderMap| {
                    axum::Json(releases(&format!("http://{}", headers["host"].to_str().unwrap())))
                }),
            )
            .route(
                "/get/{name}",
                get(async |axum::extract::Path(name): axum::extract::Path<String>| name),
            );
        let url = serve(router).await;
        let found = look(&format!("github:acme/russet?api={url}")).await.unwrap();
        assert_eq!(found.envelope, b"manifest.json");
        assert_eq!(found.address("a.tar.gz").unwrap(), format!("{url}/get/a.tar.gz"));
        assert!(found.address("b.tar.gz").is_err());
    }

    #[tokio::test]
    async fn the_newest_release_in_a_bucket_is_found_by_its_keys() {
        let list = async |Query(query): Query<HashMap<String, String>>| {
            assert_eq!(query["prefix"], "mac/");
            let keys = [
                "mac/1.9.0/manifest.json",
                "mac/1.10.0/manifest.json",
                "mac/1.10.0/a.tar.gz",
                "mac/readme",
            ];
            let contents: String = keys.iter().map(|key| format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified></Contents>"
            )).collect();
            format!(
                "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
            )
        };
        let router = Router::new().route("/", get(list)).route(
            "/{*key}",
            get(async |axum::extract::Path(key): axum::extract::Path<String>| key),
        );
        let url = serve(router).await;
        let found = look(&format!("s3://releases/mac?endpoint={url}")).await.unwrap();
        assert_eq!(found.envelope, b"mac/1.10.0/manifest.json");
        assert!(found.address("a.tar.gz").unwrap().ends_with("/mac/1.10.0/a.tar.gz"));
    }

    #[tokio::test]
    async fn a_manifest_without_end_is_given_up_and_a_refusal_is_said() {
        let endless = async || axum::body::Body::from(vec![b' '; 300_000]).into_response();
        let router = Router::new()
            .route("/big/manifest.json", get(endless))
            .route("/no/manifest.json", get(async || StatusCode::INTERNAL_SERVER_ERROR));
        let url = serve(router).await;
        let client = russet_platform::http::api_client(&url, None, None).unwrap();
        for (path, why) in [("big", "longer than"), ("no", "500"), ("none", "not there")] {
            let source: Source = format!("{url}/{path}").parse().unwrap();
            let error = source.look(&client, &url, "mini").await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let found = Source::ControlPlane.look(&client, &url, "mini").await.unwrap();
        assert!(found.0.is_none() && found.1.is_none());
    }
}
