//! One upload to S3, with credentials that the notarization service lends for it.
//!
//! The libraries for S3 bring a second provider of cryptography, or the whole SDK; one PUT with a
//! signature (version 4, from Amazon's documentation) is all that is needed.

use ring::hmac;
use serde::Deserialize;

use crate::hash::{hex, sha256};

/// Region of Apple's buckets for notarization.
const REGION: &str = "us-west-2";

/// Destination and credentials of an upload.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Id of the key.
    pub aws_access_key_id: String,
    /// The key.
    pub aws_secret_access_key: String,
    /// Token that limits the credentials.
    pub aws_session_token: String,
    /// Whose bucket.
    pub bucket: String,
    /// Name of the object.
    pub object: String,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Storage {
    /// Returns host and URL of the object: at `base` if one is given, else at Amazon.
    #[must_use]
    pub fn address(&self, base: Option<&str>) -> (String, String) {
        let path = russet_text::encode_path(&self.object);
        match base {
            Some(base) => {
                let host = base.split_once("://").map_or(base, |(_, host)| host);
                let host = host.trim_end_matches('/').to_owned();
                (format!("{}/{path}", base.trim_end_matches('/')), host)
            }
            None => {
                let host = format!("{}.s3.{REGION}.amazonaws.com", self.bucket);
                (format!("https://{host}/{path}"), host)
            }
        }
    }
}

/// The headers of a PUT. `time` is as `20260102T030405Z`.
#[must_use]
pub fn sign_upload(
    storage: &Storage,
    host: &str,
    payload_sha256: &str,
    time: &str,
) -> Vec<(&'static str, String)> {
    let day = time.split('T').next().unwrap_or_default();
    let names = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
    let canonical = format!(
        "PUT\n/{}\n\nhost:{host}\nx-amz-content-sha256:{payload_sha256}\nx-amz-date:{time}\nx-amz-security-token:{}\n\n{names}\n{payload_sha256}",
        russet_text::encode_path(&storage.object),
        storage.aws_session_token
    );
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let step = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let secret = format!("AWS4{}", storage.aws_secret_access_key);
    let key = ["s3", "aws4_request"]
        .iter()
        .fold(step(&step(secret.as_bytes(), day), REGION), |key, part| step(&key, part));
    let signature = hex(&step(&key, &text));
    let id = &storage.aws_access_key_id;
    vec![
        ("x-amz-content-sha256", payload_sha256.to_owned()),
        ("x-amz-date", time.to_owned()),
        ("x-amz-security-token", storage.aws_session_token.clone()),
        (
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        ),
    ]
}
