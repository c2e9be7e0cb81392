//! Settings of objects on S3: which bucket, where, and with which credentials.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Bucket, and the prefix of all names in it, as `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    pub(super) bucket: String,
    /// Without slashes at its ends; empty for none.
    pub(super) prefix: String,
}

/// Reason why an address of objects is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3UrlError {
    /// It begins with something else.
    #[error("it has to begin with s3://")]
    Scheme,
    /// The name of the bucket cannot be one.
    #[error("a bucket's name has 3 to 63 small letters, digits, dots and hyphens")]
    Bucket,
    /// The prefix is no path.
    #[error("behind the bucket stand letters, digits and `-_.`, in parts between slashes")]
    Prefix,
}

impl FromStr for S3Url {
    type Err = S3UrlError;

    fn from_str(text: &str) -> Result<Self, S3UrlError> {
        let rest = text.strip_prefix("s3://").ok_or(S3UrlError::Scheme)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_bucket = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(of_bucket) {
            return Err(S3UrlError::Bucket);
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(S3UrlError::Prefix);
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "s3://{}", self.bucket),
            prefix => write!(f, "s3://{}/{prefix}", self.bucket),
        }
    }
}

/// Objects in a bucket of S3, or of a server that speaks the same.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Bucket and prefix.
    pub url: S3Url,
    /// Origin of the server, as `https://s3.example.com:9000`. `None`: that of AWS, or what
    /// `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` say.
    pub endpoint: Option<String>,
    /// Region, which is a part of every signature. `None`: what `AWS_REGION` or
    /// `AWS_DEFAULT_REGION` say, else `us-east-1`.
    pub region: Option<String>,
    /// The bucket's name stands in the host name instead of the path.
    pub virtual_hosted: bool,
    /// Certificates of authorities that are trusted besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Take an endpoint without TLS: whoever is on the way can read and change all objects.
    pub allow_http: bool,
    /// File with credentials, as AWS's own tools write it; read again while the server runs.
    /// `None`: the environment, or what AWS gives to this machine.
    pub credentials_file: Option<PathBuf>,
    /// Readers that can are sent to the bucket, with a URL that is valid for a few minutes.
    pub is_direct: bool,
}

impl S3Settings {
    /// Returns the usual settings for a bucket.
    #[must_use]
    pub fn new(url: S3Url) -> Self {
        Self {
            url,
            endpoint: None,
            region: None,
            virtual_hosted: false,
            ca_file: None,
            allow_http: false,
            credentials_file: None,
            is_direct: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{S3Url, S3UrlError};

    #[test]
    fn an_address_names_a_bucket_and_perhaps_a_prefix() {
        let parse = |text: &str| text.parse::<S3Url>().map(|url| (url.bucket, url.prefix));
        let is = |bucket: &str, prefix: &str| Ok((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(parse("s3://ci-objects"), is("ci-objects", ""));
        assert_eq!(parse("s3://ci-objects/"), is("ci-objects", ""));
        assert_eq!(parse("s3://ci.objects/a/b_2/"), is("ci.objects", "a/b_2"));
        assert_eq!(parse("https://ci-objects"), Err(S3UrlError::Scheme));
        for wrong in ["s3://", "s3://ab", "s3://Upper", "s3://user:pass@bucket", "s3:///x"] {
            assert_eq!(parse(wrong), Err(S3UrlError::Bucket), "{wrong}");
        }
        for wrong in ["s3://bucket//a", "s3://bucket/../a", "s3://bucket/a?b", "s3://bucket/a b"] {
            assert_eq!(parse(wrong), Err(S3UrlError::Prefix), "{wrong}");
        }
    }
}
