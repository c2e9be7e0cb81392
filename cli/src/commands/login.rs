//! `russet login` and `russet logout`.

use std::path::PathBuf;

use russet_protocol::people::{Me, Permission};

use super::OutputArgs;
use super::device_login::{WantedArgs, log_in_by_browser};
use super::secret_input::SecretArgs;
use crate::client::{Client, Login, Logins};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Log in to a control plane, or choose among those that you are logged in to
///
/// It shows a code and opens a page of the control plane, where you log in, type the code and allow a
/// personal token. With --token, a token that you have is asked for without being shown, or read from
/// standard input; with --from, from a file. It is stored in `servers.json` of the configuration
/// directory, which only you can read, and commands use it from then on. RUSSET_URL, RUSSET_TOKEN and
/// RUSSET_TOKEN_FILE go before it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet login https://ci.example.com
  russet login https://ci.example.com --name work --scope read --expires 30d
  russet login https://ci.example.com --token < token.txt
  russet login --list
  russet login --use work")]
pub(crate) struct LoginArgs {
    /// Address of the control plane
    #[arg(value_name = "URL", required_unless_present_any = ["list", "use_name"])]
    url: Option<String>,
    /// Name of the server here [default: its host]
    #[arg(long, requires = "url")]
    name: Option<String>,
    /// Log in with a personal token or the admin token that you have, instead of a browser
    #[arg(long, requires = "url")]
    token: bool,
    /// File with certificates, in PEM, that are trusted for it beside those of the system, from now
    /// on
    #[arg(
        long,
        requires = "url",
        env = "RUSSET_CA_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    wanted: WantedArgs,
    /// List the servers that you are logged in to
    #[arg(long, conflicts_with_all = ["url", "use_name"])]
    list: bool,
    /// Have commands go to this server from now on
    #[arg(long = "use", id = "use_name", value_name = "NAME", conflicts_with = "url")]
    use_name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Forget a control plane that you are logged in to
///
/// The token stays valid: `russet personal-token revoke` ends it.
#[derive(clap::Args, Debug)]
pub(crate) struct LogoutArgs {
    /// Its name, as `russet login --list` shows it [default: the one in use]
    name: Option<String>,
}

/// Logs in, lists or chooses.
pub(crate) async fn main(args: LoginArgs) -> Result<Exit> {
    let mut logins = Logins::read()?;
    if args.list {
        list(&logins, args.output.output)?;
    } else if let Some(name) = &args.use_name {
        let login = logins.named(name).ok_or_else(|| not_logged_in(name))?;
        render::print_line(format_args!("Commands go to {} from now on.", login.url))?;
        logins.current = Some(name.clone());
        logins.write()?;
    } else if let Some(url) = &args.url {
        let url = url.trim_end_matches('/');
        // The file is found from every directory.
        let absolute = |file: &PathBuf| {
            std::path::absolute(file)
                .map_err(|error| CliError::local("could not find the current directory", error))
        };
        let ca_file = args.ca_file.as_ref().map(absolute).transpose()?;
        let token = match args.token || args.secret.is_given() {
            true => args.secret.read("personal token")?,
            false => log_in_by_browser(url, ca_file.as_deref(), &args.wanted).await?,
        };
        let me = Client::trusting(url, &token, ca_file.as_deref())?.me().await?;
        let name = args.name.clone().unwrap_or_else(|| host_of(url));
        logins.servers.retain(|login| login.name != name);
        logins.servers.push(Login { name: name.clone(), url: url.to_owned(), token, ca_file });
        logins.current = Some(name.clone());
        logins.write()?;
        render::print_line(format_args!("Logged in to {url} as {}.", who(&me)))?;
    }
    Ok(Exit::Success)
}

/// Forgets a server.
pub(crate) fn logout_main(args: &LogoutArgs) -> Result<Exit> {
    let mut logins = Logins::read()?;
    let name = args.name.clone().or_else(|| logins.current.clone());
    let name = name.ok_or_else(|| CliError::new(Exit::Usage, "you are logged in to no server"))?;
    if logins.named(&name).is_none() {
        return Err(not_logged_in(&name));
    }
    logins.servers.retain(|login| login.name != name);
    if logins.current.as_ref() == Some(&name) {
        logins.current = None;
    }
    logins.write()?;
    render::print_line(format_args!("Forgot {name}."))?;
    Ok(Exit::Success)
}

fn not_logged_in(name: &str) -> CliError {
    CliError::new(Exit::Usage, format!("you are not logged in to a server `{name}`"))
        .hint("`russet login --list` names those that there are")
}

fn host_of(url: &str) -> String {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| url.to_owned())
}

fn who(me: &Me) -> String {
    let Some(user) = &me.user else {
        return "the owner of its machine, with the admin token".to_owned();
    };
    let role = user
        .role
        .map_or_else(|| "no role over the server".to_owned(), |role| role.as_str().to_owned());
    let scopes: Vec<&str> = me.scopes.iter().copied().map(Permission::as_str).collect();
    format!("{} ({role}; scopes: {})", user.name, scopes.join(", "))
}

fn list(logins: &Logins, format: Format) -> Result<()> {
    let is_current = |login: &Login| logins.current.as_ref() == Some(&login.name);
    if format == Format::Json {
        let items = logins.servers.iter().map(|login| {
            serde_json::json!({"name": login.name, "url": login.url, "current": is_current(login)})
        });
        return render::print_json(&items.collect::<Vec<_>>());
    }
    let mut table = Table::new(&["NAME", "URL", "IN USE"]);
    for login in &logins.servers {
        let mark = if is_current(login) { "yes" } else { "" };
        table.row([login.name.clone(), login.url.clone(), mark.to_owned()]);
    }
    render::print_text(&table.render("You are logged in to no server: `russet login URL`."))
}
