//! People at the command line: accounts, personal tokens, logins and the audit log, over the real
//! binaries.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use reqwest::Method;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use crate::support::{Server, russet, test_dir};

/// Somebody's command line, with a home of its own and nothing in the environment.
pub(crate) struct Somebody {
    pub(crate) home: PathBuf,
}

impl Somebody {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let home = dir.join(name);
        std::fs::create_dir_all(&home).unwrap();
        Self { home }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(russet());
        command.args(args).env_clear().env("HOME", &self.home).current_dir(&self.home);
        command
    }

    pub(crate) fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let output = self.call(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Logs in with a token.
    pub(crate) fn log_in(&self, server: &Server, token: &str) {
        let file = self.home.join("token");
        std::fs::write(&file, token).unwrap();
        self.succeed(&["login", server.url(), "--from", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
    }

    fn servers_file(&self) -> PathBuf {
        self.home.join(".config/russet/servers.json")
    }
}

#[test]
fn a_second_person_gets_an_account_and_does_what_the_role_allows() {
    let server = Server::start();
    let dir = test_dir();
    let owner = Somebody::new(dir.path(), "owner");
    owner.log_in(&server, server.admin.token());
    owner.succeed(&["user", "add", "bot", "--service", "--role", "viewer"]);
    let made = owner.succeed(&[
        "personal-token",
        "create",
        "--user",
        "bot",
        "--scope",
        "read",
        "--scope",
        "submit",
        "--output",
        "json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let bot = Somebody::new(dir.path(), "bot");
    bot.log_in(&server, made["token"].as_str().unwrap());
    let mode = std::fs::metadata(bot.servers_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    bot.succeed(&["pipeline", "list"]);
    let refused = bot.call(&["context", "create", "deploy", "--project", "app"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("`operate`"), "{said}");
    // Whoever is at the machine can still name another server and token.
    let file = server.admin_token_file();
    let named = bot.command(&["user", "list"]).env("RUSSET_TOKEN_FILE", &file).output().unwrap();
    assert!(named.status.success());
    let log = owner.succeed(&["audit", "list", "--output", "json"]);
    assert!(log.contains("POST /api/v3/users/{name}/tokens"), "{log}");
    assert!(!log.contains(made["token"].as_str().unwrap()));
    let lines = owner.succeed(&["audit", "export", "--operation", "POST /api/v3/users"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    owner.succeed(&["personal-token", "revoke", "--user", "bot", made["id"].as_str().unwrap()]);
    assert!(!bot.call(&["pipeline", "list"]).status.success());
    // Tokens that others may have read are not used.
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(bot.servers_file(), open).unwrap();
    let said = bot.call(&["pipeline", "list"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("can be read by others"));
}

#[test]
fn a_stored_token_goes_to_its_own_server_alone() {
    let (one, other) = (Server::start(), Server::start());
    let dir = test_dir();
    let owner = Somebody::new(dir.path(), "owner");
    owner.log_in(&one, one.admin.token());
    let elsewhere = owner.call(&["pipeline", "list", "--url", other.url()]);
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(said.contains("there is no token for the control plane"), "{said}");
    owner.succeed(&["pipeline", "list", "--url", one.url()]);
    let listed = owner.succeed(&["login", "--list"]);
    assert!(listed.contains(one.url()) && !listed.contains(one.admin.token()), "{listed}");
    owner.succeed(&["logout"]);
    assert!(!owner.call(&["pipeline", "list", "--url", one.url()]).status.success());
}

#[test]
fn the_link_of_a_first_administrator_is_printed_on_the_servers_machine_and_logged_nowhere() {
    let dir = test_dir();
    let data = dir.path().join("data");
    let server = Server::start_in(&data, &[]);
    let owner = Somebody::new(dir.path(), "owner");
    let args =
        ["server", "admin-link", "--data-dir", data.to_str().unwrap(), "--url", server.url()];
    let link = owner.succeed(&args);
    let (address, code) = link.trim().split_once("/link#").unwrap();
    assert_eq!(address, server.url());
    assert!(code.starts_with("rsl_"), "{code}");
}

/// Somebody's browser, as far as forms go.
struct Pages {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Pages {
    /// Adds a person, and signs in with a link.
    fn sign_in(server: &Server, name: &str, role: &str) -> Self {
        server.admin.post("/api/v3/users", json!({"name": name, "role": role}));
        let link = server.admin.post(&format!("/api/v3/users/{name}/link"), json!({}));
        let code = link["path"].as_str().unwrap().strip_prefix("/link#").unwrap().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let policy = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(policy).build().unwrap();
        let mut pages =
            Self { runtime, client, url: server.url().to_owned(), cookie: String::new() };
        let form = format!("code={code}&name=&password=correct-horse-battery");
        let answer = pages.send(Method::POST, "/link", form);
        assert_eq!(answer.headers()[LOCATION], "/");
        let set = answer.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        let pairs: Vec<&str> = set.map(|set| set.split(';').next().unwrap()).collect();
        pages.cookie = pairs.join("; ");
        pages
    }

    fn send(&self, method: Method, path: &str, form: String) -> reqwest::Response {
        let request = self.client.request(method, format!("{}{path}", self.url)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.runtime.block_on(request.header(COOKIE, &self.cookie).send()).unwrap()
    }

    /// Sends a form of a page, with the text of the session. Returns the page that answers.
    fn send_form(&self, path: &str, fields: &str) -> String {
        let page = self.send(Method::GET, path, String::new());
        let page = self.runtime.block_on(page.text()).unwrap();
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
        let csrf = csrf.split('"').next().unwrap();
        let answer = self.send(Method::POST, path, format!("csrf={csrf}&{fields}"));
        self.runtime.block_on(answer.text()).unwrap()
    }
}

/// Starts a login with a browser. Returns the process, and the code that it shows.
fn begin_login(somebody: &Somebody, server: &Server) -> (Child, String) {
    let mut command = somebody.command(&["login", server.url(), "--no-browser", "--scope", "read"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let asked = lines.next().unwrap();
    assert!(asked.contains(&format!("{}/login/device", server.url())), "{asked}");
    let code = lines.find(|line| line.starts_with("    ")).unwrap().trim().to_owned();
    // What is said later is read until the end.
    child.stderr = None;
    std::thread::spawn(move || lines.for_each(drop));
    (child, code)
}

#[test]
fn somebody_logs_in_with_a_code_that_is_allowed_in_a_browser() {
    let server = Server::start();
    let dir = test_dir();
    let laptop = Somebody::new(dir.path(), "laptop");
    let pages = Pages::sign_in(&server, "ana", "viewer");
    let (child, code) = begin_login(&laptop, &server);
    assert!(pages.send_form("/login/device", &format!("code={code}")).contains(&code));
    let allowed = pages.send_form("/login/device", &format!("code={code}&decision=allow"));
    assert!(allowed.contains("Allowed"), "{allowed}");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("as ana (viewer; scopes: read)"), "{said}");
    laptop.succeed(&["pipeline", "list"]);
    let listed = laptop.succeed(&["personal-token", "list"]);
    assert!(listed.contains("russet login of"), "{listed}");
    let mode = std::fs::metadata(laptop.servers_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let stranger = Somebody::new(dir.path(), "stranger");
    let (mut child, code) = begin_login(&stranger, &server);
    pages.send_form("/login/device", &format!("code={code}&decision=deny"));
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.is_empty() && !stranger.servers_file().exists(), "{said}");
}
