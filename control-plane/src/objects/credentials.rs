//! Credentials of S3 from a file, as AWS's own tools write it.
//!
//! Threat: whoever reads the file can read and change everything that jobs have stored, so it is
//! refused while others than its owner can. It is read again when it is older in memory than
//! [`MAX_AGE`]: session tokens last an hour, and a server longer.

use std::future::Future;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use zeroize::Zeroizing;

/// Age from which on the file is read again.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Longest file, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reason why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{0} can be read by others than its owner: make it private (chmod 600)")]
    Open(PathBuf),
    #[error("{0} has no `{1}` in the section [default]")]
    Missing(PathBuf, &'static str),
}

/// Credentials that are read from a file.
#[derive(Debug)]
pub(super) struct FileCredentials {
    path: PathBuf,
    last: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl FileCredentials {
    /// Reads the file for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, CredentialsError> {
        let first = Arc::new(read_file(path)?);
        Ok(Self { path: path.to_owned(), last: Mutex::new(Some((Instant::now(), first))) })
    }

    fn current(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((read, credential)) if read.elapsed() < MAX_AGE => Ok(Arc::clone(credential)),
            _ => {
                let credential = Arc::new(read_file(&self.path)?);
                *last = Some((Instant::now(), Arc::clone(&credential)));
                Ok(credential)
            }
        }
    }
}

impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let credential = self
            .current()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) });
        Box::pin(std::future::ready(credential))
    }
}

fn read_file(path: &Path) -> Result<AwsCredential, CredentialsError> {
    let failed = |error| CredentialsError::Read(path.to_owned(), error);
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(CredentialsError::Open(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    let of = |key| find_value(&text, key);
    let needed = |key| of(key).ok_or(CredentialsError::Missing(path.to_owned(), key));
    Ok(AwsCredential {
        key_id: needed("aws_access_key_id")?,
        secret_key: needed("aws_secret_access_key")?,
        token: of("aws_session_token"),
    })
}

/// Finds a value in the section `[default]`, or before any section.
fn find_value(text: &str, key: &str) -> Option<String> {
    let mut is_default = true;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_default = section.trim_end_matches(']').trim() == "default";
        } else if is_default
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{CredentialsError, FileCredentials, read_file};

    #[test]
    fn credentials_are_read_from_a_private_file_and_shown_by_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("credentials");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let text = "[other]\naws_access_key_id = no\n# c\n[default]\naws_access_key_id = AKIA1\n\
                    aws_secret_access_key=s3cret/=\naws_session_token = t0ken\n";
        write(text, 0o644);
        assert!(matches!(read_file(&path), Err(CredentialsError::Open(_))));
        write(text, 0o600);
        let read = read_file(&path).unwrap();
        assert_eq!((read.key_id.as_str(), read.secret_key.as_str()), ("AKIA1", "s3cret/="));
        assert_eq!(read.token.as_deref(), Some("t0ken"));
        let shown = format!("{:?}", FileCredentials::open(&path).unwrap());
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        write("aws_access_key_id=a\n", 0o600);
        let missing = read_file(&path).unwrap_err();
        assert!(missing.to_string().contains("`aws_secret_access_key`"), "{missing}");
    }
}
