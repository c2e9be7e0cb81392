//! Continuation of a setup's pipeline: how a job hands over the configuration that comes next.
//!
//! Scripts of CircleCI's own orbs, and many that people wrote, send that with curl to
//! `https://circleci.com/api/v2/pipeline/continue`. For them, the steps of a setup have a `curl`
//! first on their PATH that turns such a call to the control plane that the job came from, and is
//! the machine's curl for everything else. New ones write `circleci-agent continue FILE`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use russet_protocol::problem::Problem;
use russet_protocol::supervise::{Assignment, SETUP_CURL, SETUP_HELPERS};
use russet_protocol::task::{CONTINUATION_KEY_VARIABLE, CONTINUE_PATH, TaskConfig};
use serde_json::{Map, Value, json};

use crate::path_error::PathError;
use crate::stderr::print_to_stderr;
use russet_platform::http;

/// Variable with the URL to send it to.
pub(crate) const URL_VARIABLE: &str = "CIRCLE_CONTINUATION_URL";

/// Socket that leads there, where steps cannot be sure to reach it otherwise.
const SOCKET_VARIABLE: &str = "CIRCLE_INTERNAL_CONTINUATION_SOCKET";

/// CA certificates to trust on the way.
const CA_VARIABLE: &str = "CIRCLE_INTERNAL_CONTINUATION_CA";

/// Time for which a control plane that is away is asked again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Timeout of one call: a large configuration is compiled meanwhile.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Largest configuration that is read; the control plane takes no larger one.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The variables that the steps of a setup have besides the key.
pub(crate) fn variables(assignment: &Assignment) -> Vec<(&'static str, String)> {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let url = format!("{}{CONTINUE_PATH}", assignment.api_url.trim_end_matches('/'));
    [
        (URL_VARIABLE, Some(url)),
        (SOCKET_VARIABLE, assignment.relay.as_ref().map(text)),
        (CA_VARIABLE, assignment.ca_file.as_ref().map(text)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// Returns true if a task may continue its pipeline.
pub(crate) fn is_setup(config: &TaskConfig) -> bool {
    config.environment.iter().any(|variable| variable.name == CONTINUATION_KEY_VARIABLE)
}

/// The directory that steps of a setup have first on their PATH.
pub(crate) fn directory(assignment: &Assignment, config: &TaskConfig) -> Option<PathBuf> {
    assignment.helpers.as_ref().filter(|_| is_setup(config)).map(|path| path.join(SETUP_HELPERS))
}

/// Becomes the machine's curl, with such calls turned to the control plane.
#[must_use]
pub fn curl(arguments: Vec<OsString>) -> ExitCode {
    const NOT_FOUND: u8 = 127;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let Some(program) = next_on_path(&path, own.as_deref()) else {
        print_to_stderr(&"curl: command not found");
        return ExitCode::from(NOT_FOUND);
    };
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let route = variable(URL_VARIABLE).map(|url| Route {
        url,
        socket: variable(SOCKET_VARIABLE),
        ca: variable(CA_VARIABLE),
    });
    let arguments = match route {
        Some(route) => route.turned(arguments),
        None => arguments,
    };
    let error = Command::new(&program).args(arguments).exec();
    print_to_stderr(&format!("curl: could not start {}: {error}", program.display()));
    ExitCode::from(NOT_FOUND)
}

/// The first curl of a PATH that is not this program.
fn next_on_path(path: &OsStr, own: Option<&Path>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_program = |file: &PathBuf| {
        let runs =
            |meta: std::fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
        std::fs::metadata(file).is_ok_and(runs)
            && std::fs::canonicalize(file).ok().as_deref() != own
    };
    std::env::split_paths(path).map(|directory| directory.join(SETUP_CURL)).find(is_program)
}

/// The way to the control plane.
struct Route {
    url: OsString,
    socket: Option<OsString>,
    ca: Option<OsString>,
}

impl Route {
    /// Arguments of curl with the address of a continuation, whoever's it is, turned to ours.
    fn turned(&self, mut arguments: Vec<OsString>) -> Vec<OsString> {
        let mut is_turned = false;
        for argument in &mut arguments {
            let prefix = match argument.to_str() {
                Some(text) if is_continuation(text) => "",
                Some(text) if text.strip_prefix("--url=").is_some_and(is_continuation) => "--url=",
                _ => continue,
            };
            *argument = OsString::from(prefix);
            argument.push(&self.url);
            is_turned = true;
        }
        if is_turned {
            for (option, value) in [("--unix-socket", &self.socket), ("--cacert", &self.ca)] {
                if let Some(value) = value {
                    arguments.extend([option.into(), value.clone()]);
                }
            }
        }
        arguments
    }
}

/// Returns true if a text is the URL of a continuation, of any host.
fn is_continuation(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = rest.unwrap_or(text).strip_suffix(CONTINUE_PATH);
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']))
}

/// Reason why a pipeline was not continued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContinuationError {
    #[error(
        "this job cannot continue its pipeline\n\nhint: only the jobs of a configuration with \
         `setup: true` can, and only once"
    )]
    NotSetup,
    #[error(transparent)]
    File(#[from] PathError),
    #[error("{} is larger than {LARGEST} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error(
        "the parameters are not a JSON object: {0}\n\nhint: write them as '{{\"name\": true}}', or \
         name a file of that"
    )]
    Parameters(serde_json::Error),
    #[error(transparent)]
    Client(#[from] http::HttpError),
    #[error("could not start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("could not reach the control plane: {0}")]
    Unreachable(String),
    #[error("the control plane answers {0}")]
    Status(reqwest::StatusCode),
    /// The control plane's own words.
    #[error("{0}")]
    Refused(String),
}

/// `circleci-agent continue`: hands over a configuration, and returns what to say of it.
pub(crate) fn continue_pipeline(
    file: &Path,
    parameters: Option<&str>,
) -> Result<String, ContinuationError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let key = variable(CONTINUATION_KEY_VARIABLE).ok_or(ContinuationError::NotSetup)?;
    let url = variable(URL_VARIABLE).ok_or(ContinuationError::NotSetup)?;
    let body = json!({
        "continuation-key": key,
        "configuration": read_file(file)?,
        "parameters": parameters.map(read_parameters).transpose()?.unwrap_or_default(),
    });
    let (ca, socket) = (variable(CA_VARIABLE), variable(SOCKET_VARIABLE));
    let client =
        http::api_client(&url, ca.as_deref().map(Path::new), socket.as_deref().map(Path::new))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ContinuationError::Runtime)?;
    runtime.block_on(send_continuation(&client, &url, &body))
}

/// Parameters as JSON, or as the name of a file of it.
fn read_parameters(given: &str) -> Result<Map<String, Value>, ContinuationError> {
    let path = Path::new(given);
    let text = if path.is_file() { read_file(path)? } else { given.to_owned() };
    serde_json::from_str(&text).map_err(ContinuationError::Parameters)
}

fn read_file(path: &Path) -> Result<String, ContinuationError> {
    use std::io::Read as _;
    let failed = PathError::when("read", path);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(&failed)?;
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(&failed)?;
    if text.len() as u64 > LARGEST {
        return Err(ContinuationError::TooLarge(path.to_owned()));
    }
    Ok(text)
}

/// Sends it until it is answered, for a while.
async fn send_continuation(
    client: &reqwest::Client,
    url: &str,
    body: &Value,
) -> Result<String, ContinuationError> {
    let started = Instant::now();
    let mut backoff = http::backoff(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        let sent = client.post(url).timeout(CALL_LIMIT).json(body).send().await;
        let why = match sent {
            Ok(response) if !http::is_transient(response.status()) => {
                return read_answer(response, backoff.tries()).await;
            }
            Ok(response) => format!("it answers {}", response.status()),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > PATIENCE {
            return Err(ContinuationError::Unreachable(why));
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

/// Reads an answer. After an attempt whose answer was lost, "the pipeline has gone on already" is
/// no news.
async fn read_answer(response: reqwest::Response, tries: u32) -> Result<String, ContinuationError> {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    if status.is_success() {
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = value.get("message").and_then(Value::as_str);
        return Ok(message.unwrap_or("The pipeline goes on.").to_owned());
    }
    if status == reqwest::StatusCode::CONFLICT && tries > 0 {
        return Ok("The pipeline goes on.".to_owned());
    }
    let problem: Problem =
        serde_json::from_str(&text).map_err(|_| ContinuationError::Status(status))?;
    let mut all = problem.message;
    for diagnostic in problem.diagnostics {
        all = format!("{all}\n\n{}", diagnostic.trim_end());
    }
    if let Some(hint) = problem.hint {
        all = format!("{all}\n\nhint: {hint}");
    }
    Err(ContinuationError::Refused(all))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{Route, is_continuation, next_on_path, read_file, read_parameters};

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn only_calls_for_a_continuation_are_turned() {
        let route = Route {
            url: "https://ci.example/api/v2/pipeline/continue".into(),
            socket: Some("/run/relay".into()),
            ca: None,
        };
        let turned =
            route.turned(words("-XPOST --data @x https://circleci.com/api/v2/pipeline/continue"));
        let wanted =
            "-XPOST --data @x https://ci.example/api/v2/pipeline/continue --unix-socket /run/relay";
        assert_eq!(turned, words(wanted));
        for other in
            ["https://example.com/x", "-d https://circleci.com/api/v2/pipeline/continue?a=b"]
        {
            assert_eq!(route.turned(words(other)), words(other));
        }
    }

    #[test]
    fn the_address_of_a_continuation_is_told_whoever_serves_it() {
        for yes in [
            "https://circleci.com/api/v2/pipeline/continue",
            "http://ci.acme.example:8080/api/v2/pipeline/continue",
            "circleci.com/api/v2/pipeline/continue",
        ] {
            assert!(is_continuation(yes), "{yes}");
        }
        for no in [
            "/api/v2/pipeline/continue",
            "https:///api/v2/pipeline/continue",
            "https://circleci.com/api/v2/pipeline/continued",
            "https://example.com/?to=circleci.com/api/v2/pipeline/continue",
            "see https://circleci.com/api/v2/pipeline/continue",
        ] {
            assert!(!is_continuation(no), "{no}");
        }
    }

    #[test]
    fn the_curl_behind_this_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let directory = dir.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            directory
        };
        let (ours, plain, real) = (make("ours"), make("plain"), make("real"));
        let own = dir.path().join("russet");
        std::fs::write(&own, "").unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&own, ours.join("curl")).unwrap();
        std::fs::write(plain.join("curl"), "no program").unwrap();
        std::fs::copy(&own, real.join("curl")).unwrap();
        let path = std::env::join_paths([&ours, &plain, &real]).unwrap();
        let own = std::fs::canonicalize(own).unwrap();
        assert_eq!(next_on_path(&path, Some(&own)), Some(real.join("curl")));
        assert_eq!(next_on_path(ours.as_os_str(), Some(&own)), None);
    }

    #[test]
    fn parameters_are_json_or_a_file_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("parameters.json");
        std::fs::write(&file, r#"{"a": 1}"#).unwrap();
        assert_eq!(read_parameters(r#"{"a": true}"#).unwrap()["a"], true);
        assert_eq!(read_parameters(file.to_str().unwrap()).unwrap()["a"], 1);
        assert!(read_parameters("[1]").unwrap_err().to_string().contains("not a JSON object"));
        assert!(
            read_file(&dir.path().join("none")).unwrap_err().to_string().contains("could not read")
        );
    }
}
