//! URLs with which a reader fetches one object from the bucket itself.

use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{Method, Signer as _};

use super::{ObjectError, Objects, Place};

/// Time for which a URL is valid. A download that has begun may take longer.
const URL_TIMEOUT: Duration = Duration::from_secs(300);

impl Objects {
    /// Returns a URL with which whoever has it may read an object for a few minutes; `None` where
    /// readers go through the server. The URL is a secret of that time.
    pub(crate) async fn direct_url(&self, name: &str) -> Result<Option<String>, ObjectError> {
        let Place::S3(bucket, _) = &self.place else { return Ok(None) };
        if !self.is_direct {
            return Ok(None);
        }
        let url = bucket.signed_url(Method::GET, &Path::from(name), URL_TIMEOUT).await;
        Ok(Some(url.map_err(|error| self.failed(error))?.into()))
    }
}
