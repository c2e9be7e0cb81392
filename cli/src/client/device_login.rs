//! Logins of this command line that somebody allows in a browser.

use reqwest::{Method, StatusCode};
use russet_protocol::people::{
    DeviceLogin, DeviceLoginError, DeviceLoginRefusal, FetchDeviceToken, NewPersonalToken,
    PersonalTokenItem,
};
use russet_protocol::secret::Secret;

use super::Client;
use crate::error::Result;

impl Client {
    /// Begins a login.
    pub(crate) async fn begin_device_login(
        &self,
        wanted: &NewPersonalToken,
    ) -> Result<DeviceLogin> {
        self.post("/api/v3/device-logins", wanted).await
    }

    /// Polls for the token of a login. An answer without one is no failure of the call.
    pub(crate) async fn fetch_device_token(
        &self,
        device_code: &Secret,
    ) -> Result<std::result::Result<PersonalTokenItem, DeviceLoginError>> {
        let body = FetchDeviceToken { device_code: device_code.clone() };
        let request = self.request(Method::POST, "/api/v3/device-logins/token").json(&body);
        let answer = self.ask(Self::built(request)?, false).await?;
        if answer.status == StatusCode::BAD_REQUEST
            && let Ok(refusal) = serde_json::from_slice::<DeviceLoginRefusal>(&answer.read)
        {
            return Ok(Err(refusal.error));
        }
        if !answer.status.is_success() {
            return Err(self.refused_after(answer.status, &answer.read, answer.is_doubtful));
        }
        self.parsed(&answer.read).map(Ok)
    }
}
