//! A bucket of S3, opened as the settings say.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use super::credentials::{CredentialsError, FileCredentials};
use super::settings::S3Settings;

/// A bucket, below the prefix.
pub(super) type Bucket = PrefixStore<AmazonS3>;

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time without a byte of an answer. A part of 8 MiB may be on its way for as long.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries of a call after the first. Runners send again what was refused, so a store that stays
/// away is better said soon than waited for.
const MAX_RETRIES: usize = 4;

/// Time after which a call is not tried again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Reason why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenS3Error {
    #[error("cannot read the certificates in {0}")]
    CaFile(PathBuf, #[source] std::io::Error),
    #[error("{0} has no certificate as PEM")]
    NoCertificate(PathBuf),
    #[error("{0} has a certificate that cannot be read")]
    BadCertificate(PathBuf, #[source] object_store::Error),
    #[error(
        "the endpoint `{0}` is not taken: write its origin, as https://s3.example.com:9000, \
         without a path or a user"
    )]
    Endpoint(String),
    #[error(
        "the endpoint `{0}` has no TLS: whoever is on the way can read and change all objects; \
         use https://, or say --objects-allow-http"
    )]
    Http(String),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the settings of S3 are not taken")]
    Settings(#[source] object_store::Error),
}

/// Opens a bucket. Nothing is asked of it yet.
pub(super) fn open(settings: &S3Settings) -> Result<Bucket, OpenS3Error> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&settings.url.bucket)
        .with_client_options(client_options(settings)?)
        .with_retry(RetryConfig {
            backoff: BackoffConfig { max_backoff: MAX_PAUSE, ..BackoffConfig::default() },
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        })
        // One object at a time, which every server that speaks S3 knows.
        .with_disable_bulk_delete(true)
        .with_virtual_hosted_style_request(settings.virtual_hosted);
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        check_endpoint(endpoint, settings.allow_http)?;
        let endpoint = if settings.virtual_hosted {
            host_of_bucket(endpoint, &settings.url.bucket)
        } else {
            endpoint.clone()
        };
        // Before what AWS_ENDPOINT_URL_S3 says.
        builder = builder.with_config(object_store::aws::AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(path) = &settings.credentials_file {
        builder = builder.with_credentials(Arc::new(FileCredentials::open(path)?));
    }
    let store = builder.build().map_err(OpenS3Error::Settings)?;
    Ok(PrefixStore::new(store, Path::from(settings.url.prefix.as_str())))
}

fn client_options(settings: &S3Settings) -> Result<ClientOptions, OpenS3Error> {
    let mut options = ClientOptions::new()
        .with_allow_http(settings.allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        // A large object takes as long as its reader.
        .with_timeout_disabled();
    if let Some(path) = &settings.ca_file {
        for certificate in certificates(path)? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn certificates(path: &FilePath) -> Result<Vec<Certificate>, OpenS3Error> {
    let pem = std::fs::read(path).map_err(|error| OpenS3Error::CaFile(path.to_owned(), error))?;
    let all = Certificate::from_pem_bundle(&pem)
        .map_err(|error| OpenS3Error::BadCertificate(path.to_owned(), error))?;
    if all.is_empty() {
        return Err(OpenS3Error::NoCertificate(path.to_owned()));
    }
    Ok(all)
}

/// Takes an origin alone: a user and a password would be shown with it.
fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), OpenS3Error> {
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let host = host.strip_suffix('/').unwrap_or(host);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(is_host) {
        // Without what may be a password.
        let shown = endpoint.rsplit('@').next().unwrap_or_default();
        return Err(OpenS3Error::Endpoint(shown.to_owned()));
    }
    match scheme {
        "https" => Ok(()),
        "http" if allow_http => Ok(()),
        "http" => Err(OpenS3Error::Http(endpoint.to_owned())),
        _ => Err(OpenS3Error::Endpoint(endpoint.to_owned())),
    }
}

/// The origin with the bucket before its host.
fn host_of_bucket(endpoint: &str, bucket: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenS3Error, check_endpoint, host_of_bucket};

    #[test]
    fn an_endpoint_is_an_origin_and_has_tls_unless_http_was_asked_for() {
        assert!(check_endpoint("https://s3.example.com", false).is_ok());
        assert!(check_endpoint("https://[::1]:9000/", false).is_ok());
        assert!(check_endpoint("http://10.0.0.1:9000", true).is_ok());
        let http = check_endpoint("http://10.0.0.1:9000", false).unwrap_err();
        assert!(http.to_string().contains("--objects-allow-http"), "{http}");
        for wrong in ["s3.example.com", "https://", "https://a/b", "ftp://a", "https://u:pw@a"] {
            let error = check_endpoint(wrong, true).unwrap_err();
            assert!(matches!(error, OpenS3Error::Endpoint(_)), "{wrong}");
            assert!(!error.to_string().contains("pw@"), "{error}");
        }
    }

    #[test]
    fn a_bucket_stands_before_the_host_where_that_is_asked_for() {
        assert_eq!(host_of_bucket("https://s3.a:9000/", "ci"), "https://ci.s3.a:9000");
    }
}
