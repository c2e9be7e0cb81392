//! `russet login` with a browser and a code (RFC 8628).

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use russet_protocol::people::{
    DEVICE_LOGIN_PAGE, DeviceLogin, DeviceLoginError, NewPersonalToken, Permission,
};
use russet_protocol::secret::Secret;
use tokio::time::{Instant, sleep};

use super::people::login_name;
use super::values;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render;

/// Time by which the interval grows for each answer that says so (RFC 8628, section 3.5).
const SLOWED_BY: Duration = Duration::from_secs(5);

/// Bounds of the interval, whatever the server says.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// Longest time that somebody has to decide, whatever the server says.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Token that is wanted.
#[derive(clap::Args, Debug)]
pub(crate) struct WantedArgs {
    /// Do not open a browser: only print the code and the address
    #[arg(long)]
    no_browser: bool,
    /// Permission that the token is limited to: read, submit, operate or admin; may be repeated
    /// [default: read and submit]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Permission>,
    /// Time until the token's end, such as 90d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = values::parse_duration)]
    expires: Duration,
}

impl WantedArgs {
    fn request(&self) -> NewPersonalToken {
        let scopes = match self.scopes.as_slice() {
            [] => vec![Permission::Read, Permission::Submit],
            scopes => scopes.to_vec(),
        };
        let host = nix::unistd::gethostname().ok();
        let host = host.and_then(|name| name.into_string().ok()).unwrap_or_default();
        let description = format!("russet login of {} on {host}", login_name());
        let expires_in_s = Some(values::whole_seconds(self.expires));
        NewPersonalToken { description, scopes, expires_in_s }
    }
}

/// Asks for a token, and waits until somebody has allowed it in a browser.
pub(crate) async fn log_in_by_browser(
    url: &str,
    ca_file: Option<&Path>,
    args: &WantedArgs,
) -> Result<Secret> {
    let client = Client::without_token(url, ca_file)?;
    let login = client.begin_device_login(&args.request()).await.map_err(|error| {
        error.hint("an older control plane knows no codes: log in with --token")
    })?;
    // At the address that the person gave: what the server says is not opened.
    let page = format!("{url}{DEVICE_LOGIN_PAGE}");
    // Both come from the server.
    let code = render::plain(&login.user_code);
    render::print_note(format_args!("Open {page} in a browser, log in, and type this code:"));
    render::print_note(format_args!("\n    {code}\n"));
    if !args.no_browser && std::io::stderr().is_terminal() {
        open_browser(&page);
    }
    render::print_note("Waiting until it is allowed there.");
    wait_for_token(&client, &login).await
}

async fn wait_for_token(client: &Client, login: &DeviceLogin) -> Result<Secret> {
    let end = Instant::now() + Duration::from_secs(login.expires_in).min(MAX_WAIT);
    let mut interval = Duration::from_secs(login.interval).clamp(MIN_INTERVAL, MAX_INTERVAL);
    while Instant::now() < end {
        sleep(interval).await;
        match client.fetch_device_token(&login.device_code).await {
            Ok(Ok(item)) => {
                return item.token.ok_or_else(|| {
                    CliError::new(Exit::ControlPlane, "the control plane answered without a token")
                });
            }
            Ok(Err(DeviceLoginError::AuthorizationPending)) => {}
            Ok(Err(DeviceLoginError::SlowDown)) => {
                interval = (interval + SLOWED_BY).min(MAX_INTERVAL);
            }
            Ok(Err(error)) => return Err(not_logged_in(error)),
            // A server that starts again, or a connection that comes back.
            Err(error) if error.transient => {}
            Err(error) => return Err(error),
        }
    }
    Err(not_logged_in(DeviceLoginError::ExpiredToken))
}

fn not_logged_in(error: DeviceLoginError) -> CliError {
    let (message, hint) = match error {
        DeviceLoginError::AccessDenied => (
            "the login was denied in the browser",
            "if you did not deny it, tell your administrator; `russet login` asks again",
        ),
        DeviceLoginError::InvalidGrant => (
            "the token of this login was fetched already, and its answer may have been lost",
            "revoke it (`russet personal-token list`), and run `russet login` again",
        ),
        _ => ("nobody allowed the login in time", "run `russet login` again"),
    };
    CliError::new(Exit::ControlPlane, message).hint(hint)
}

/// Opens a page where there is a browser. It does not matter if that fails: the address is printed.
fn open_browser(page: &str) {
    let has_screen = cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    // Over SSH it would open where nobody sits.
    if !has_screen || std::env::var_os("SSH_CONNECTION").is_some() {
        return;
    }
    let program = if cfg!(target_os = "macos") { "/usr/bin/open" } else { "/usr/bin/xdg-open" };
    if Path::new(program).exists() {
        let mut command = Command::new(program);
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It goes on by itself.
        drop(command.spawn());
    }
}
