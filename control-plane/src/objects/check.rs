//! A look at a bucket before the server listens: everything is tried that will be needed, and
//! what fails is said in terms of what its owner can do.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::unique_name;

/// Prefix of what is written in order to see whether that is possible.
const PREFIX: &str = "check";

/// Reason why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} objects: {}", explain(.source))]
pub(crate) struct CheckError {
    verb: &'static str,
    #[source]
    source: object_store::Error,
}

/// Writes, reads, lists and deletes a small object.
pub(super) async fn check(store: &dyn ObjectStore) -> Result<(), CheckError> {
    let failed = |verb| move |source| CheckError { verb, source };
    let name = Path::from(format!("{PREFIX}/{}", unique_name()));
    store.put(&name, Bytes::from_static(b"russet").into()).await.map_err(failed("write"))?;
    store.get_range(&name, 0..6).await.map_err(failed("read"))?;
    let prefix = Path::from(PREFIX);
    store.list(Some(&prefix)).try_next().await.map_err(failed("list"))?;
    store.delete(&name).await.map_err(failed("delete"))
}

/// Codes of S3, and what they mean to the owner of a bucket.
const CODES: [(&str, &str); 13] = [
    ("NoSuchBucket", "the bucket does not exist: create it, or name another one with --objects"),
    (
        "InvalidAccessKeyId",
        "the store does not know the access key: look at AWS_ACCESS_KEY_ID or the file of \
         --objects-credentials-file",
    ),
    // The same from versitygw.
    (
        "XAdminUserNotFound",
        "the store does not know the access key: look at AWS_ACCESS_KEY_ID or the file of \
         --objects-credentials-file",
    ),
    (
        "SignatureDoesNotMatch",
        "the secret key does not fit the access key: look at AWS_SECRET_ACCESS_KEY or the file \
         of --objects-credentials-file",
    ),
    ("ExpiredToken", "the session token has expired: bring a new one"),
    ("InvalidToken", "the session token is not taken: look at AWS_SESSION_TOKEN"),
    (
        "RequestTimeTooSkewed",
        "the clock of this machine differs from the store's by more than 15 minutes: let both \
         follow a time server",
    ),
    (
        "AccessDenied",
        "the credentials do not allow it: grant s3:GetObject, s3:PutObject, s3:DeleteObject, \
         s3:AbortMultipartUpload and s3:ListBucket for this bucket",
    ),
    (
        "AuthorizationHeaderMalformed",
        "the region is not the bucket's: name that with --objects-region",
    ),
    ("PermanentRedirect", "the bucket is in another region: name that with --objects-region"),
    (
        "incorrectly configured region",
        "the bucket is in another region: name that with --objects-region",
    ),
    (
        "UnknownIssuer",
        "nobody who is trusted has signed the certificate of the store: name the certificate of \
         its authority with --objects-ca",
    ),
    (
        "169.254.169.254",
        "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a \
         file with --objects-credentials-file",
    ),
];

/// Says what to do about a failure of S3, as far as that is known.
pub(super) fn explain(error: &object_store::Error) -> &'static str {
    let text = russet_text::error_chain(error);
    let known = CODES.iter().find(|(code, _)| text.contains(code));
    match known {
        Some((_, advice)) => advice,
        // A connection that was refused, a name that is not found, an answer that does not come.
        None if text.contains("error sending request") => {
            "the store cannot be reached: look at --objects-endpoint and the network"
        }
        None => "the store refused it",
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    fn failure(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn what_fails_is_said_in_terms_of_what_its_owner_can_do() {
        let body = |code| format!("403 Forbidden: <Error><Code>{code}</Code></Error>");
        for (text, advice) in [
            (body("NoSuchBucket"), "create it"),
            (body("InvalidAccessKeyId"), "AWS_ACCESS_KEY_ID"),
            (body("SignatureDoesNotMatch"), "secret key"),
            (body("ExpiredToken"), "bring a new one"),
            (body("RequestTimeTooSkewed"), "time server"),
            (body("AccessDenied"), "s3:ListBucket"),
            (body("AuthorizationHeaderMalformed"), "--objects-region"),
            ("invalid peer certificate: UnknownIssuer".to_owned(), "--objects-ca"),
            ("GET http://169.254.169.254/latest".to_owned(), "no credentials"),
            ("HTTP error: error sending request".to_owned(), "--objects-endpoint"),
            ("something else".to_owned(), "refused"),
        ] {
            let said = explain(&failure(&text));
            assert!(said.contains(advice), "{text}: {said}");
        }
    }
}
