//! Lists of releases, of a GitHub repository and of a bucket. `self_update` knows their forms and
//! their pages; the requests are made here, so that they go to the named servers alone, end, and
//! fail in words of ours.
//!
//! Threat: a source decides how long its lists are. Pages and bytes are counted over the whole
//! list; one that has no end is an error and not an empty list.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use reqwest::Client;
use reqwest::header::HeaderMap;
use russet_protocol::manifest::FILE_NAME;
use self_update::backends::{github, s3};
use self_update::http_client::{AsyncHttpClient, AsyncHttpResponse};

use super::request::{self, FetchError};
use super::servers::Servers;
use super::source::Source;

/// Maximum number of pages, each of 100 releases or 1,000 objects.
const MAX_PAGES: usize = 50;

/// Maximum number of bytes of all pages together: they are held until the newest release is known.
const MAX_BYTES: u64 = 32 << 20;

/// Keys of objects: `1.2.0/manifest.json` behind the prefix.
const KEY: &str = r"(?P<prefix>.*/)?(?P<version>\d+\.\d+\.\d+[^/]*)/(?P<name>[^/]+)$";

/// A file of a release: its name and its address.
pub(super) type Asset = (String, String);

/// Fetches the files of the newest release that has a manifest. Empty: there is no such release.
pub(super) async fn list_newest(
    source: &Source,
    client: &Client,
    servers: &Servers,
) -> Result<Vec<Asset>, FetchError> {
    let (client, servers) = (client.clone(), servers.clone());
    let pages = Arc::new(Pages { client, servers, taken: Mutex::default() });
    let listed = match source {
        Source::GitHub { owner, name, api } => {
            let mut list = github::ReleaseList::configure();
            list.repo_owner(owner).repo_name(name).timeout(request::TIMEOUT);
            list.http_client_async(Arc::clone(&pages) as Arc<dyn AsyncHttpClient>);
            if let Some(api) = api {
                list.api_base_url(api);
            }
            match list.build() {
                Ok(list) => list.fetch_async().await,
                Err(error) => Err(error),
            }
        }
        Source::S3 { bucket, prefix, region, endpoint } => {
            let mut list = s3::ReleaseList::configure();
            list.bucket_name(bucket).timeout(request::TIMEOUT).asset_key_pattern(KEY);
            list.http_client_async(Arc::clone(&pages) as Arc<dyn AsyncHttpClient>);
            if !prefix.is_empty() {
                list.asset_prefix(format!("{prefix}/"));
            }
            if let Some(region) = region {
                list.region(region);
            }
            if let Some(endpoint) = endpoint {
                list.endpoint(format!("{endpoint}/"));
            }
            match list.build() {
                Ok(list) => list.fetch_async().await,
                Err(error) => Err(error),
            }
        }
        Source::ControlPlane | Source::Directory(_) => return Ok(Vec::new()),
    };
    // The library's own words quote what the source said, and give hints about tokens.
    let failed = pages.taken().failed.take();
    let releases = listed.map_err(|_| failed.unwrap_or(FetchError::Form))?;
    // A bucket has no releases: there each file is one, with the version in its key.
    let mut by_version = BTreeMap::<_, Vec<Asset>>::new();
    for release in releases {
        let version = semver::Version::parse(release.version()).ok();
        let assets = release.assets().iter();
        let assets =
            assets.map(|asset| (last_component(asset.name()), asset.download_url().to_owned()));
        by_version.entry(version).or_default().extend(assets);
    }
    let has_manifest = |assets: &Vec<Asset>| assets.iter().any(|(name, _)| name == FILE_NAME);
    Ok(by_version.into_values().rev().find(has_manifest).unwrap_or_default())
}

/// The last part of a name with slashes.
fn last_component(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// Fetches pages for `self_update`.
struct Pages {
    client: Client,
    servers: Servers,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    pages: usize,
    bytes: u64,
    /// Error of the page that was the last.
    failed: Option<FetchError>,
}

impl Pages {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, address: &str, headers: &HeaderMap) -> Result<Page, FetchError> {
        let room = {
            let mut taken = self.taken();
            taken.pages += 1;
            let room = MAX_BYTES.saturating_sub(taken.bytes);
            if taken.pages > MAX_PAGES || room == 0 {
                return Err(FetchError::EndlessList);
            }
            room
        };
        let answer =
            request::get(&self.client, &self.servers, address, headers.clone(), room).await;
        let (headers, body) = match answer {
            Err(FetchError::TooLong(_)) => return Err(FetchError::EndlessList),
            answer => answer?,
        };
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let mut taken = self.taken();
        taken.bytes = taken.bytes.saturating_add(length);
        Ok(Page { headers, body: body.into() })
    }
}

impl AsyncHttpClient for Pages {
    fn get<'a>(
        &'a self,
        url: &'a str,
        headers: &'a HeaderMap,
        _: Option<Duration>,
    ) -> BoxFuture<'a, self_update::Result<Box<dyn AsyncHttpResponse>>> {
        Box::pin(async move {
            match self.fetch(url, headers).await {
                Ok(page) => Ok(Box::new(page) as Box<dyn AsyncHttpResponse>),
                Err(error) => {
                    self.taken().failed = Some(error);
                    Err(std::io::Error::other("it was not fetched").into())
                }
            }
        })
    }
}

/// A page, whole.
struct Page {
    headers: HeaderMap,
    body: Bytes,
}

impl AsyncHttpResponse for Page {
    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn text(self: Box<Self>) -> BoxFuture<'static, self_update::Result<String>> {
        Box::pin(async move { Ok(String::from_utf8_lossy(&self.body).into_owned()) })
    }

    fn bytes_stream(self: Box<Self>) -> BoxStream<'static, self_update::Result<Bytes>> {
        futures_util::stream::once(async move { Ok(self.body) }).boxed()
    }
}
