//! The options that say where objects are.
//!
//! Credentials never stand among them: everybody on the machine can read the arguments of a
//! process.

use std::path::PathBuf;

use russet_control_plane::{S3Settings, S3Url};

/// Objects of a server: output, caches, workspaces, artifacts and sources.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ObjectsArgs {
    /// Bucket of S3, or of a server that speaks the same, that holds output, caches, workspaces,
    /// artifacts and sources, as s3://bucket/prefix. Credentials come from AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, from --objects-credentials-file, or from what
    /// AWS gives to the machine [default: files in the data directory]
    #[arg(long, value_name = "URL")]
    objects: Option<S3Url>,

    /// Origin of the server: scheme, host and port [default: that of AWS, or AWS_ENDPOINT_URL_S3]
    #[arg(long, value_name = "URL", requires = "objects")]
    objects_endpoint: Option<String>,

    /// Region of the bucket [default: AWS_REGION, else us-east-1]
    #[arg(long, value_name = "REGION", requires = "objects")]
    objects_region: Option<String>,

    /// The bucket's name stands in the host name, instead of in the path
    #[arg(long, requires = "objects")]
    objects_virtual_hosted: bool,

    /// File with the credentials, as AWS's tools write it, for its owner alone; read again while
    /// the server runs
    #[arg(long, value_name = "FILE", requires = "objects")]
    objects_credentials_file: Option<PathBuf>,

    /// File with certificates of authorities that are trusted besides the system's, as PEM
    #[arg(long, value_name = "FILE", requires = "objects")]
    objects_ca: Option<PathBuf>,

    /// Take an endpoint without TLS: whoever is on the way can read and change all objects
    #[arg(long, requires = "objects")]
    objects_allow_http: bool,

    /// Send runners and `russet job artifacts` to the bucket for caches, workspaces and artifacts, with URLs
    /// that are valid for five minutes; those that do not reach it get the bytes from the server
    #[arg(long, requires = "objects")]
    objects_direct: bool,
}

impl ObjectsArgs {
    /// Returns the bucket; `None` is the data directory.
    pub(super) fn into_settings(self) -> Option<S3Settings> {
        let mut settings = S3Settings::new(self.objects?);
        settings.endpoint = self.objects_endpoint;
        settings.region = self.objects_region;
        settings.virtual_hosted = self.objects_virtual_hosted;
        settings.ca_file = self.objects_ca;
        settings.allow_http = self.objects_allow_http;
        settings.credentials_file = self.objects_credentials_file;
        settings.is_direct = self.objects_direct;
        Some(settings)
    }
}
