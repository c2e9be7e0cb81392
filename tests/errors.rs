//! Error messages of the real binary.

use std::path::Path;

use assert_cmd::Command;

/// The binary, with nothing of the caller's environment that it reads.
fn russet(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet"));
    command.current_dir(dir).env("HOME", dir).env("XDG_CONFIG_HOME", dir.join("config"));
    for name in ["RUSSET_URL", "RUSSET_TOKEN", "RUSSET_TOKEN_FILE", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// Exit code and standard error of a command that fails, with the directory's name removed.
fn failure(dir: &Path, args: &[&str]) -> String {
    let output = russet(dir).args(args).output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr).unwrap();
    let text = text.replace(&*dir.to_string_lossy(), "DIR");
    format!("exit code {}\n{text}", output.status.code().unwrap())
}

fn project(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".circleci")).unwrap();
    std::fs::write(dir.path().join(".circleci/config.yml"), config).unwrap();
    dir
}

#[test]
fn a_project_without_a_configuration_is_a_bad_configuration() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["run"]), @r"
    exit code 3
    error: could not read .circleci/config.yml: No such file or directory (os error 2)
    hint: a project has its configuration at .circleci/config.yml
    ");
}

#[test]
fn a_directory_that_is_not_there_is_a_wrong_argument() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["run", "nowhere"]), @r"
    exit code 2
    error: could not open nowhere: No such file or directory (os error 2)
    ");
}

#[test]
fn an_error_in_the_configuration_names_its_place_and_starts_nothing() {
    let dir = project("version: 2.1\njobs:\n  build:\n    machine: true\n    stepz: []\n");
    let text = failure(dir.path(), &["run"]);
    assert!(text.starts_with("exit code 3\n"), "{text}");
    for part in [".circleci/config.yml:5:5", "stepz", "error: the configuration has"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn validate_says_the_same_to_machines() {
    let dir = project("version: 2.1\njobs:\n  build: 7\n");
    let output = russet(dir.path()).args(["config", "validate", "-o", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["valid"], false);
    assert!(said["errors"][0].as_str().unwrap().contains("config.yml:3:"), "{said}");
}

#[test]
fn a_configuration_that_is_not_text_is_refused() {
    let dir = project("");
    std::fs::write(dir.path().join(".circleci/config.yml"), b"jobs: \xff").unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["config", "validate"]), @r"
    exit code 3
    error: .circleci/config.yml:1:7: this is not UTF-8 text
    hint: save it as UTF-8, or look for a character that was pasted from elsewhere
    ");
}

#[test]
fn a_huge_configuration_is_refused_before_it_is_read() {
    let dir = project("");
    let file = std::fs::File::create(dir.path().join(".circleci/config.yml")).unwrap();
    file.set_len(100 * 1024 * 1024 * 1024).unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["run"]), @r"
    exit code 3
    error: .circleci/config.yml is larger than 67 MB
    ");
}

#[test]
fn without_a_token_the_way_to_name_one_is_said() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["pipeline", "list"]), @r"
    exit code 2
    error: there is no token for the control plane at http://127.0.0.1:8080
    hint: log in with `russet login URL`, or name the file of the admin token with --token-file or RUSSET_TOKEN_FILE; `russet server` keeps it as `admin.token` in its data directory
    ");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "x\n").unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let text =
        failure(dir.path(), &["runner", "list", "acme", "--token-file", "token", "--url", &url]);
    insta::assert_snapshot!(text.replace(&port.to_string(), "PORT"), @r"
    exit code 4
    error: could not reach the control plane at http://127.0.0.1:PORT: Connection refused (os error 111)
    hint: is `russet server` running there? --url or RUSSET_URL name another one
    ");
}

#[test]
fn the_settings_file_is_read_and_its_mistakes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("config/russet")).unwrap();
    let file = dir.path().join("config/russet/cli.yml");
    std::fs::write(&file, "url: ftp://x\ntoken_file: token\n").unwrap();
    std::fs::write(dir.path().join("config/russet/token"), "x").unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["pipeline", "list"]), @r"
    exit code 2
    error: `ftp://x` is not the address of a control plane: it has to begin with http:// or https://
    hint: write it as `https://host:port`
    ");
    std::fs::write(&file, "urll: http://x\n").unwrap();
    let text = failure(dir.path(), &["pipeline", "list"]);
    assert!(text.starts_with("exit code 3\n") && text.contains("urll"), "{text}");
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let text = failure(dir.path(), &["resource-class", "create", "Acme"]);
    assert!(text.starts_with("exit code 2\n"), "{text}");
    assert!(text.contains("it is written `namespace/name`"), "{text}");
    assert!(failure(dir.path(), &["server", "--lease", "60"]).contains("its unit is missing"));
}

#[test]
fn an_agent_configuration_that_is_not_there_is_a_bad_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let text = failure(dir.path(), &["agent", "run", "--config", "agent.yaml"]);
    assert!(text.starts_with("exit code 3\n") && text.contains("agent.yaml"), "{text}");
}

#[test]
fn mistakes_of_an_agent_configuration_are_said_all_at_once() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let config = "api: {url: \"ftp://x\"}\nrunner:\n  nmae: n\n  max_run_time: soon\n  classes:\n    - {token: a, slots: 0}\n    - {resource_class: Acme}\n";
    let file = dir.path().join("agent.yaml");
    std::fs::write(&file, config).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = failure(dir.path(), &["agent", "run", "--config", "agent.yaml"]);
    assert!(text.starts_with("exit code 3\n"), "{text}");
    let places = ["1:12", "3:3", "4:17", "6:25", "7:7", "7:24"];
    let mut rest = text.as_str();
    for place in places {
        let at = rest.find(&format!("error: agent.yaml:{place}: "));
        rest = &rest[at.unwrap_or_else(|| panic!("{place} in {text}"))..];
    }
    assert!(rest.contains("error: the configuration has 6 mistakes"), "{text}");
    // The short form, with one class.
    let config = "api: {url: \"ftp://x\"}\nrunner: {slots: 0, task_agent: nowhere}\n";
    std::fs::write(&file, config).unwrap();
    let text = failure(dir.path(), &["agent", "run", "--config", "agent.yaml"]);
    for mistake in
        ["`api.url` must", "`api.auth_token` is required", "`runner.slots` must", "no file"]
    {
        assert!(text.contains(mistake), "{mistake}: {text}");
    }
    assert!(text.contains("error: the configuration has 4 mistakes"), "{text}");
}

#[test]
fn a_log_that_can_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let config = "api: {url: \"http://127.0.0.1:1\", auth_token: t}\nrunner: {name: n}\nlogging: {file: nowhere/agent.log}\n";
    let file = dir.path().join("agent.yaml");
    std::fs::write(&file, config).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    insta::assert_snapshot!(failure(dir.path(), &["agent", "run", "--config", "agent.yaml"]), @r"
    exit code 3
    error: could not open the log DIR/nowhere/agent.log: No such file or directory (os error 2)
    hint: `logging.file` of the agent's configuration names it
    ");
}

#[test]
fn the_task_agent_says_who_starts_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = russet(dir.path()).arg("task-agent").write_stdin("").output().unwrap();
    assert_eq!(output.status.code(), Some(russet_protocol::supervise::exit::BAD_ASSIGNMENT));
}

#[test]
fn completions_and_manual_pages_are_there() {
    let dir = tempfile::tempdir().unwrap();
    russet(dir.path()).args(["completion", "zsh"]).assert().success();
    russet(dir.path()).args(["man", "man"]).assert().success();
    assert!(dir.path().join("man/russet-run.1").exists());
}

#[test]
fn addresses_that_are_none_are_told_how_to_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let text = failure(dir.path(), &["server", "--listen", "localhost:8080"]);
    assert!(text.starts_with("exit code 2\n") && text.contains("`127.0.0.1:8080`"), "{text}");
    std::fs::write(dir.path().join("token"), "x").unwrap();
    let to =
        |url| failure(dir.path(), &["pipeline", "list", "--token-file", "token", "--url", url]);
    assert!(to("127.0.0.1:8080").contains("has to begin with http://"), "{}", to("127.0.0.1:8080"));
}
