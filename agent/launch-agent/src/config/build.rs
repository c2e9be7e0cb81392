//! From values to a checked [`Config`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::supervise::{Hooks, Limits};

use super::Reserve;
use super::error::ConfigError;
use super::read::{Input, Origin, Values};
use super::token::{self, Exposure, Token};
use super::{
    Class, Config, Format, Keep, KeepAwake, Level, LocalApi, Logging, Mode, Relay, Session,
    XcodeHealth,
};
use crate::logs::Limits as LogLimits;
use russet_platform::clock::whole_millis;

/// CircleCI's default for `api.url`.
const DEFAULT_URL: &str = "https://runner.circleci.com";

/// CircleCI's default for `runner.max_run_time`.
const DEFAULT_MAX_RUN_TIME: Duration = Duration::from_secs(5 * 3600);

/// A smaller log would be rotated at every other line.
const SMALLEST_LOG: u64 = 4096;

/// A Mac has no use for more tasks at once, and each slot costs a user and directories.
const MAX_SLOTS: u64 = 256;

pub(super) struct Build<'a> {
    pub(super) file: &'a Path,
    pub(super) values: &'a Values,
    warnings: Vec<String>,
    /// Mistakes that were found so far, which are told all at once.
    errors: RefCell<Vec<ConfigError>>,
}

/// Checks everything that one value alone does not show.
pub(super) fn build_config(
    file: &Path,
    input: &Input,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let values = &input.values;
    let mut build = Build { file, values, warnings: Vec::new(), errors: RefCell::default() };
    let exposure = build.refuse_exposed_file(input);
    build.noted(exposure);
    let api_url = build.api_url();
    let api_url = build.noted(api_url);
    let classes = build.noted(build.classes(input));
    let working_directory = build.noted(build.working_directory(&classes));
    let max_run_time = values.duration("runner.max_run_time").unwrap_or(DEFAULT_MAX_RUN_TIME);
    if max_run_time.is_zero() {
        let message = "must be longer than nothing";
        build.noted(Err::<(), _>(values.error(file, "runner.max_run_time", message, None)));
    }
    let nothing = build.warn_of_what_does_nothing(&classes, &api_url);
    build.noted(nothing);
    let state_directory = build.noted(build.state_directory(env));
    let config = Config {
        file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
        api_url,
        ca_file: values.text("api.ca_file").map(|path| build.path(&path)),
        name: build.noted(build.name()),
        working_directory,
        cleanup_working_directory: values
            .flag("runner.cleanup_working_directory")
            .unwrap_or_default(),
        command_prefix: values.words("runner.command_prefix").unwrap_or_default(),
        mode: match values.text("runner.mode").as_deref() {
            Some("single-task") => Mode::SingleTask,
            _ => Mode::Continuous,
        },
        max_run_time,
        idle_timeout: values.duration("runner.idle_timeout").filter(|time| !time.is_zero()),
        enable_unsafe_retries: values.flag("runner.enable_unsafe_retries").unwrap_or_default(),
        ssh_advertise_addr: values.text("runner.ssh.advertise_addr"),
        ssh: build.noted(build.ssh()),
        user_prefix: build.noted(build.user_prefix()),
        disk_reserve: Reserve(values.number("runner.health.disk_reserve")),
        health_xcode: match values.flag("runner.health.xcode") {
            Some(true) => XcodeHealth::All,
            Some(false) => XcodeHealth::Never,
            None => XcodeHealth::Named,
        },
        holds_failing: values.flag("runner.health.failures").unwrap_or(true),
        xcode_directories: build.noted(build.xcode_directories()),
        matches_xcode: values.flag("runner.xcode.match").unwrap_or(true),
        local_api: build.local_api(&state_directory),
        data_directory: build.data_directory(&state_directory),
        state_directory,
        path: build.noted(build.step_path()),
        environment: build.noted(build.environment()),
        home_skeleton: build.noted(build.home_skeleton()),
        relay: match values.text("runner.relay").as_deref() {
            Some("always") => Relay::Always,
            Some("never") => Relay::Never,
            _ => Relay::Auto,
        },
        keep_awake: match values.text("runner.keep_awake").as_deref() {
            Some("always") => KeepAwake::Always,
            Some("never") => KeepAwake::Never,
            _ => KeepAwake::Tasks,
        },
        limits: read_limits(values, "runner.limits."),
        classes,
        housekeeping: build.noted(build.housekeeping()),
        keep: build.noted(build.keep_limits()),
        shutdown_hook: build.noted(build.shutdown_hook()),
        warm_simulators: values.flag("runner.warm_simulators").unwrap_or_default(),
        metrics: build.noted(build.metrics()),
        update: build.noted(build.update()),
        logging: build.noted(build.logging()),
        warnings: std::mem::take(&mut build.warnings),
    };
    ConfigError::join(build.errors.into_inner()).map_or(Ok(config), Err)
}

impl Build<'_> {
    /// Notes what is wrong, and goes on to look for more. The value that stands for it is never used.
    fn noted<T: Default>(&self, result: Result<T, ConfigError>) -> T {
        result.unwrap_or_else(|error| {
            self.errors.borrow_mut().extend(error.all());
            T::default()
        })
    }

    /// A path of the file is relative to the file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        let base = self.file.parent().unwrap_or(Path::new(""));
        std::path::absolute(base.join(text)).unwrap_or_else(|_| PathBuf::from(text))
    }

    /// Threat: every step of every job runs on this machine, and the token claims the tasks of
    /// everybody else. A file with a token that others can read is refused where it matters
    /// most, under root; elsewhere the steps run as the same user and could read it anyway.
    fn refuse_exposed_file(&mut self, input: &Input) -> Result<(), ConfigError> {
        let here = |values: &Values, key: &str| matches!(values.origin(key), Some(Origin::File(_)));
        let holds_token = here(self.values, "api.auth_token")
            || input.classes.iter().any(|class| here(class, "token"));
        if !holds_token {
            return Ok(());
        }
        let how = match token::file_exposure(self.file) {
            Exposure::None => return Ok(()),
            Exposure::Readable(how) | Exposure::Foreign(how) => how,
        };
        let message = format!("the file holds a token and {how}: others can read or change it");
        let hint =
            format!("run `chmod 600 {}` as the user that the agent runs as", self.file.display());
        if nix::unistd::geteuid().is_root() {
            return Err(ConfigError::new(self.file, None, message, Some(hint)));
        }
        self.warnings.push(format!("{}: {message}; {hint}", self.file.display()));
        Ok(())
    }

    fn api_url(&mut self) -> Result<String, ConfigError> {
        let text = self.values.text("api.url").unwrap_or_else(|| DEFAULT_URL.to_owned());
        let error = |message: &str| {
            self.values.error(self.file, "api.url", message, Some("write `https://host:port`"))
        };
        let url = reqwest::Url::parse(&text).map_err(|e| error(&format!("is no address: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error("must begin with `https://` or `http://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("must not hold a user or a password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(error("must be an origin, without a path"));
        }
        if url.scheme() == "http" && !russet_platform::http::is_loopback(&url) {
            self.warnings.push(format!(
                "`api.url` is {text}: tokens and output go over the network unencrypted"
            ));
        }
        Ok(text.trim_end_matches('/').to_owned())
    }

    fn name(&self) -> Result<String, ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".()_-".contains(c);
        let Some(name) = self.values.text("runner.name") else {
            let host = russet_platform::hostname();
            let name: String = host.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
            return Ok(if name.is_empty() { "runner".to_owned() } else { name });
        };
        if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) {
            return Err(self.values.error(
                self.file,
                "runner.name",
                &format!("is `{name}`, but a name has letters, digits and `.()_-` only"),
                Some("leave it out to use the host name"),
            ));
        }
        Ok(name)
    }

    fn user_prefix(&self) -> Result<String, ConfigError> {
        let prefix = self.values.text("runner.user_prefix").unwrap_or_else(|| "_russet".to_owned());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if prefix.is_empty() || prefix.len() > 24 || !prefix.chars().all(allowed) {
            let message = "must be 1 to 24 letters, digits and `_-.`";
            return Err(self.values.error(self.file, "runner.user_prefix", message, None));
        }
        Ok(prefix)
    }

    fn state_directory(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PathBuf, ConfigError> {
        if let Some(path) = self.values.text("runner.state_directory") {
            return Ok(self.path(&path));
        }
        if nix::unistd::geteuid().is_root() {
            return Ok(PathBuf::from(russet_platform::ROOT_STATE_DIRECTORY));
        }
        if let Some(base) = env("XDG_STATE_HOME").filter(|path| path.starts_with('/')) {
            return Ok(Path::new(&base).join("russet"));
        }
        let home = env("HOME").filter(|path| path.starts_with('/')).ok_or_else(|| {
            let message = "has no default, since HOME is not set";
            self.values.error(self.file, "runner.state_directory", message, None)
        })?;
        Ok(Path::new(&home).join(".local/state/russet"))
    }

    /// Where the owner says nothing about the state directory, what tasks write lies at the system's
    /// own place for it; else with the rest.
    fn data_directory(&self, state: &Path) -> PathBuf {
        match self.values.text("runner.data_directory") {
            Some(path) => self.path(&path),
            None if state == Path::new(russet_platform::ROOT_STATE_DIRECTORY) => {
                PathBuf::from(russet_platform::ROOT_DATA_DIRECTORY)
            }
            None => state.to_owned(),
        }
    }

    /// The installed agent is reached where everybody looks; another one has its socket beside
    /// its state, so that two agents of a machine do not take it from each other.
    fn local_api(&self, state: &Path) -> LocalApi {
        let socket = match self.values.text("local_api.socket") {
            Some(path) => self.path(&path),
            None if state == Path::new(russet_platform::ROOT_STATE_DIRECTORY) => {
                russet_platform::layout::Layout::default().socket()
            }
            None => state.join("agent.sock"),
        };
        let operators = self.values.words("local_api.operators").unwrap_or_else(|| {
            let groups =
                if cfg!(target_os = "macos") { &["%admin"][..] } else { &["%sudo", "%wheel"] };
            groups.iter().map(|&group| group.to_owned()).collect()
        });
        let open = self.values.flag("local_api.open").unwrap_or_default();
        LocalApi { socket, operators, open }
    }

    fn working_directory(&self, classes: &[Class]) -> Result<Option<String>, ConfigError> {
        let key = "runner.working_directory";
        let Some(text) = self.values.text(key) else { return Ok(None) };
        if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
            let message = "must be an absolute path without `..`";
            return Err(self.values.error(self.file, key, message, None));
        }
        let slots: u32 = classes.iter().map(|class| class.slots).sum();
        if slots > 1 && !text.contains("%s") {
            let message = format!("is one directory for {slots} slots");
            let hint = format!("put `%s` into it, as `{}/%s`", text.trim_end_matches('/'));
            return Err(self.values.error(self.file, key, &message, Some(&hint)));
        }
        Ok(Some(text))
    }

    fn step_path(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let dirs = self.values.words("runner.path").unwrap_or_default();
        if let Some(bad) = dirs.iter().find(|dir| !dir.starts_with('/') || dir.contains(':')) {
            let message = format!("has `{bad}`, which is no absolute directory");
            return Err(self.values.error(self.file, "runner.path", &message, None));
        }
        Ok(dirs.into_iter().map(PathBuf::from).collect())
    }

    fn environment(&self) -> Result<std::collections::BTreeMap<String, String>, ConfigError> {
        let variables = self.values.variables("runner.environment").unwrap_or_default();
        let bad = |name: &&String| {
            name.is_empty()
                || name.starts_with(|c: char| c.is_ascii_digit())
                || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if let Some(name) = variables.keys().find(bad) {
            let message = format!("has `{name}`, which is no name of a variable");
            return Err(self.values.error(self.file, "runner.environment", &message, None));
        }
        Ok(variables)
    }

    fn classes(&self, input: &Input) -> Result<Vec<Class>, ConfigError> {
        let single = ["api.auth_token", "api.auth_token_file", "api.auth_token_stored"]
            .into_iter()
            .filter(|key| self.values.origin(key).is_some())
            .collect::<Vec<_>>();
        if let (Some(key), false) = (single.first(), input.classes.is_empty()) {
            let hint = format!(
                "move it into an entry of `runner.classes`, as `- token: …`, and remove `{key}`"
            );
            let message = "is the short form of `runner.classes`, and both are given";
            return Err(self.values.error(self.file, key, message, Some(&hint)));
        }
        let classes = if input.classes.is_empty() {
            vec![self.single_class()?]
        } else {
            input
                .classes
                .iter()
                .filter_map(|class| self.noted(self.class(class).map(Some)))
                .collect()
        };
        if classes.iter().map(|class| u64::from(class.slots)).sum::<u64>() > MAX_SLOTS {
            let message = format!("more than {MAX_SLOTS} slots in all");
            return Err(ConfigError::new(self.file, None, message, None));
        }
        Ok(classes)
    }

    fn single_class(&self) -> Result<Class, ConfigError> {
        let hint = "make one with `russet token create NAMESPACE/NAME`, and put it there or into \
                    RUSSET_API_AUTH_TOKEN";
        let keys = ["api.auth_token", "api.auth_token_file", "api.auth_token_stored"];
        let slots = self.noted(self.slots(self.values, "runner.slots")).unwrap_or(1);
        let task_agent = self.noted(self.task_agent(self.values, "runner.task_agent"));
        let token = self.token(self.values, keys, hint)?;
        Ok(Class {
            label: "api.auth_token".to_owned(),
            token,
            resource_class: None,
            slots,
            task_agent,
            allowed_projects: Vec::new(),
            allow_forks: false,
            hooks: Hooks::default(),
            limits: read_limits(self.values, "runner.limits."),
            credentials: Vec::new(),
            xcode: None,
            session: Session::Background,
            keep: Keep::default(),
        })
    }

    fn class(&self, values: &Values) -> Result<Class, ConfigError> {
        let hint = "make one with `russet token create NAMESPACE/NAME`";
        let token = self.token(values, ["token", "token_file", "token_stored"], hint);
        let resource_class = values
            .text("resource_class")
            .map(|text| text.parse::<russet_protocol::resource_class::ResourceClass>())
            .transpose()
            .map_err(|e| {
                values.error(self.file, "resource_class", &format!("is wrong: {e}"), None)
            });
        // A class that is misspelt is named all the same.
        let names_class = values.origin("resource_class").is_some();
        let resource_class = self.noted(resource_class);
        let slots = self.noted(self.slots(values, "slots"));
        let slots =
            slots.or_else(|| self.noted(self.slots(self.values, "runner.slots"))).unwrap_or(1);
        let task_agent = self.noted(self.task_agent(values, "task_agent"));
        let task_agent = match task_agent {
            Some(path) => Some(path),
            None => self.noted(self.task_agent(self.values, "runner.task_agent")),
        };
        let credentials = self.noted(self.credentials(values, names_class, task_agent.is_some()));
        let session = self.noted(self.session(values, slots));
        let keep = self.noted(self.keep(values, task_agent.is_some(), &session));
        let own = read_limits(values, "limits.");
        let common = read_limits(self.values, "runner.limits.");
        Ok(Class {
            label: values.label.trim_end_matches('.').to_owned(),
            session,
            keep,
            token: token?,
            resource_class,
            slots,
            task_agent,
            allowed_projects: values.words("allowed_projects").unwrap_or_default(),
            allow_forks: values.flag("allow_forks").unwrap_or_default(),
            hooks: self.noted(self.hooks(values)),
            limits: Limits {
                processes: own.processes.or(common.processes),
                open_files: own.open_files.or(common.open_files),
                disk_bytes: own.disk_bytes.or(common.disk_bytes),
                output_bytes: own.output_bytes.or(common.output_bytes),
                kill_grace_ms: if own.kill_grace_ms == 0 {
                    common.kill_grace_ms
                } else {
                    own.kill_grace_ms
                },
            },
            credentials,
            xcode: self.noted(self.xcode(values)),
        })
    }

    /// Names of stored credentials. Whether a task may have one is decided when it is claimed.
    fn credentials(
        &self,
        values: &Values,
        names_class: bool,
        is_external: bool,
    ) -> Result<Vec<String>, ConfigError> {
        let names = values.words("credentials").unwrap_or_default();
        let wrong = |message: &str, hint: &str| {
            Err(values.error(self.file, "credentials", message, Some(hint)))
        };
        if names.is_empty() {
            return Ok(names);
        }
        if let Some(bad) = names.iter().find(|name| !crate::vault::is_name(name)) {
            let message = format!("has `{bad}`, which names no credential");
            return wrong(&message, "`russet agent credential list` shows those there are");
        }
        let mut variables = std::collections::BTreeSet::new();
        let twice =
            |name: &&String| !variables.insert(russet_protocol::credential::file_variable(name));
        if let Some(name) = names.iter().find(twice) {
            let variable = russet_protocol::credential::file_variable(name);
            let message = format!("has two names for which {variable} would stand");
            return wrong(&message, "store one of them under a name that differs in more");
        }
        if !names_class {
            // Grants are by class, and which class this is must not be the server's word.
            let hint = "set `resource_class` in the same entry";
            return wrong("can only be granted to a class that is named", hint);
        }
        if is_external {
            let hint = "remove `task_agent`, or the credentials";
            return wrong("cannot be handed to an external task agent", hint);
        }
        Ok(names)
    }

    fn xcode(&self, values: &Values) -> Result<Option<String>, ConfigError> {
        let Some(text) = values.text("xcode") else { return Ok(None) };
        let is_version =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._- ".contains(&byte));
        if !text.trim().is_empty() && (is_version || text.starts_with('/')) {
            return Ok(Some(text));
        }
        let message = "is neither a version nor the path of an .app";
        Err(values.error(self.file, "xcode", message, Some("write `xcode: \"16.2\"`")))
    }

    /// Directories of Xcodes. Threat: what is found there is run and chosen by tasks of everybody, so
    /// that others must not be able to put something there.
    fn xcode_directories(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let key = "runner.xcode.directories";
        let paths = self.values.words(key).unwrap_or_default();
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.path(path)).collect();
        for path in &paths {
            let is_open = std::fs::metadata(path)
                .is_ok_and(|meta| std::os::unix::fs::MetadataExt::mode(&meta) & 0o002 != 0);
            if is_open {
                let message = format!("has {}, where everybody may write", path.display());
                let hint = format!("`sudo chmod o-w {}`", path.display());
                return Err(self.values.error(self.file, key, &message, Some(&hint)));
            }
        }
        Ok(paths)
    }

    /// The token by one of three keys: its text, a file, the name of a stored one.
    fn token(
        &self,
        values: &Values,
        [key, file_key, stored_key]: [&str; 3],
        hint: &str,
    ) -> Result<Token, ConfigError> {
        let given: Vec<&str> = [key, file_key, stored_key]
            .into_iter()
            .filter(|key| values.origin(key).is_some())
            .collect();
        // The environment wins over the file, whichever way each gives the token.
        let from_env = |key: &&str| matches!(values.origin(key), Some(Origin::Env(_)));
        let chosen: Vec<&str> = match given.iter().copied().filter(|key| from_env(key)).collect() {
            none if Vec::is_empty(&none) => given,
            some => some,
        };
        let chosen = match chosen.as_slice() {
            [] => return Err(values.error(self.file, key, "is required", Some(hint))),
            [chosen] => *chosen,
            [first, second, ..] => {
                let message = format!("and `{}{second}` are both given", values.label);
                return Err(values.error(self.file, first, &message, Some("remove one of them")));
            }
        };
        if let Some(token) = values.secret(chosen) {
            return token::check_token(token.expose())
                .map(Token::Given)
                .map_err(|wrong| values.error(self.file, chosen, wrong, Some(hint)));
        }
        let text = values.text(chosen).unwrap_or_default();
        if chosen == file_key {
            let path = self.path(&text);
            return token::read_file(self.file, &path).map(|token| Token::File(path, token));
        }
        if crate::vault::is_name(&text) {
            return Ok(Token::Stored(text));
        }
        let hint = "use the name that `russet agent token list` shows";
        Err(values.error(self.file, chosen, "names no stored token", Some(hint)))
    }

    fn slots(&self, values: &Values, key: &str) -> Result<Option<u32>, ConfigError> {
        match values.number(key) {
            None => Ok(None),
            Some(count @ 1..=MAX_SLOTS) => Ok(u32::try_from(count).ok()),
            Some(_) => {
                let message = format!("must be 1 to {MAX_SLOTS}");
                Err(values.error(self.file, key, &message, None))
            }
        }
    }

    fn task_agent(&self, values: &Values, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = values.text(key) else { return Ok(None) };
        let path = self.path(&text);
        if path.is_file() {
            return Ok(Some(path));
        }
        let message = format!("is {}, which is no file", path.display());
        Err(values.error(self.file, key, &message, None))
    }

    fn hooks(&self, values: &Values) -> Result<Hooks, ConfigError> {
        let hook = |key: &str| -> Result<Option<PathBuf>, ConfigError> {
            let Some(text) = values.text(key) else { return Ok(None) };
            let path = self.path(&text);
            let executable = std::fs::metadata(&path).is_ok_and(|meta| {
                use std::os::unix::fs::MetadataExt as _;
                meta.is_file() && meta.mode() & 0o111 != 0
            });
            if executable {
                return Ok(Some(path));
            }
            let message = format!("is {}, which is no program", path.display());
            let hint = format!("make it and run `chmod +x {}`", path.display());
            Err(values.error(self.file, key, &message, Some(&hint)))
        };
        Ok(Hooks {
            pre_task: hook("hooks.pre_task")?,
            post_task: hook("hooks.post_task")?,
            timeout_ms: values.duration("hooks.timeout").map_or(0, whole_millis),
        })
    }

    /// Threat: metrics have no password, and a Mac of a farm has neighbours.
    fn metrics(&self) -> Result<Option<std::net::SocketAddr>, ConfigError> {
        let key = "metrics.listen";
        let Some(text) = self.values.text(key) else { return Ok(None) };
        let wrong = |message: &str| {
            let hint =
                "write `127.0.0.1:9477`; what reads it from elsewhere needs a proxy of yours";
            Err(self.values.error(self.file, key, message, Some(hint)))
        };
        match text.parse::<std::net::SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Some(address)),
            Ok(address) => wrong(&format!("is {}, which is no loopback address", address.ip())),
            Err(_) => wrong(&format!("is `{text}`, which is no address with a port")),
        }
    }

    fn log_limits(&self) -> Result<LogLimits, ConfigError> {
        let wrong = |key, message| Err(self.values.error(self.file, key, message, None));
        let usual = LogLimits::default();
        let size = self.values.number("logging.max_size").unwrap_or(usual.size);
        if size < SMALLEST_LOG {
            return wrong("logging.max_size", "must be at least 4KiB");
        }
        let files = self.values.number("logging.max_files").unwrap_or(usual.files.into());
        match u32::try_from(files) {
            Ok(files @ 2..=1000) => Ok(LogLimits { size, files }),
            _ => wrong("logging.max_files", "must be 2 to 1000"),
        }
    }

    fn logging(&self) -> Result<Logging, ConfigError> {
        let file = self.values.text("logging.file");
        Ok(Logging {
            limits: self.log_limits()?,
            is_stderr: file.as_deref() == Some("-"),
            level: match self.values.text("logging.level").as_deref() {
                Some("debug") => Level::Debug,
                Some("warn") => Level::Warn,
                Some("error") => Level::Error,
                _ => Level::Info,
            },
            format: match self.values.text("logging.format").as_deref() {
                Some("text") => Format::Text,
                Some("json") => Format::Json,
                Some("none") => Format::None,
                _ => Format::Color,
            },
            file: file.filter(|path| path != "-").map(|path| self.path(&path)),
        })
    }

    /// Keys that are understood and would not do here what they say.
    fn warn_of_what_does_nothing(
        &mut self,
        classes: &[Class],
        api_url: &str,
    ) -> Result<(), ConfigError> {
        let values = self.values;
        if values.text("runner.ssh.advertise_addr_url").is_some() {
            let key = "runner.ssh.advertise_addr_url";
            let message = "is not available in this version";
            let hint = "set `runner.ssh.advertise_addr`";
            return Err(values.error(self.file, key, message, Some(hint)));
        }
        if values.flag("runner.warm_simulators") == Some(true) && !cfg!(target_os = "macos") {
            let message = "does nothing here: simulators are on Macs";
            self.warnings
                .push(values.error(self.file, "runner.warm_simulators", message, None).to_string());
        }
        let built_in = classes.iter().any(|class| class.task_agent.is_none());
        let mut warn = |key: &str, message: &str| {
            self.warnings.push(values.error(self.file, key, message, None).to_string());
        };
        let opens_port = values.text("runner.ssh.ports").is_some();
        if built_in && !opens_port && values.text("runner.ssh.advertise_addr").is_some() {
            let message = "allows reruns with SSH, and is shown to nobody: people come through the \
                           control plane, and no port is opened without `runner.ssh.ports`";
            warn("runner.ssh.advertise_addr", message);
        }
        if built_in && values.flag("runner.use_home_ssh_dir_for_checkout_keys") == Some(true) {
            let message = "does nothing: the built-in task agent writes no checkout keys";
            warn("runner.use_home_ssh_dir_for_checkout_keys", message);
        }
        if built_in && api_url == DEFAULT_URL {
            let message = "is CircleCI's own service, which the built-in task agent cannot report \
                           to; set `runner.task_agent` to CircleCI's task agent, or `api.url` to \
                           a Russet control plane";
            warn("api.url", message);
        }
        Ok(())
    }
}

fn read_limits(values: &Values, prefix: &str) -> Limits {
    let key = |name: &str| format!("{prefix}{name}");
    Limits {
        processes: values.number(&key("processes")),
        open_files: values.number(&key("open_files")),
        disk_bytes: values.number(&key("disk")),
        output_bytes: values.number(&key("output")),
        kill_grace_ms: values.duration(&key("kill_grace")).map_or(0, whole_millis),
    }
}
