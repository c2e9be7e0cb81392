//! The configuration: what is accepted, and what every mistake says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_launch_agent::config::{self, Config, ConfigError, Format, Level, Mode};

struct File {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    File { _dir: dir, path }
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    config::load_config(&file.path, &|name| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn load(text: &str) -> Config {
    load_with(text, &[("HOME", "/home/me")]).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns a mistake's message, without the directory of the file.
fn mistake(text: &str) -> String {
    let error = load_with(text, &[("HOME", "/home/me")]).expect_err(text);
    let all = error.all();
    let shown: Vec<String> = all.iter().map(shown_alone).collect();
    shown.join("\n")
}

fn shown_alone(error: &ConfigError) -> String {
    let shown = error.to_string();
    let (_, shown) = shown.split_once("config.yaml").unwrap_or(("", &shown));
    match error.hint() {
        Some(hint) => format!("config.yaml{shown}\n  hint: {hint}"),
        None => format!("config.yaml{shown}"),
    }
}

#[test]
fn a_file_of_the_launch_agent_works_as_it_is() {
    let config = load(
        r#"
api:
  auth_token: 0123456789abcdef
runner:
  name: mini-1
  command_prefix: ["sudo", "-niHu", "ci", "--"]
  working_directory: /var/opt/circleci/workdir/%s
  cleanup_working_directory: true
  disable_auto_update: yes
  max_run_time: 1h30m
  idle_timeout: 10m
  mode: single-task
  ssh:
    advertise_addr: mini.example:54782
logging:
  file: /Library/Logs/com.circleci.runner.log
"#,
    );
    assert_eq!(config.api_url, "https://runner.circleci.com");
    assert_eq!(config.name, "mini-1");
    assert_eq!(config.command_prefix, ["sudo", "-niHu", "ci", "--"]);
    assert_eq!(config.working_directory.as_deref(), Some("/var/opt/circleci/workdir/%s"));
    assert!(config.cleanup_working_directory);
    assert_eq!(config.max_run_time, Duration::from_secs(5400));
    assert_eq!(config.idle_timeout, Some(Duration::from_secs(600)));
    assert_eq!(config.mode, Mode::SingleTask);
    assert_eq!(
        config.logging.file.as_deref(),
        Some(Path::new("/Library/Logs/com.circleci.runner.log"))
    );
    let class = &config.classes[0];
    assert_eq!(
        (class.token.read().unwrap().expose(), class.slots, class.allow_forks),
        ("0123456789abcdef", 1, false)
    );
    // What would not do what it says is said by name.
    let warnings = config.warnings.join("\n");
    assert!(warnings.contains("runner.ssh.advertise_addr"), "{warnings}");
    assert!(warnings.contains("runner.task_agent"), "{warnings}");
}

#[test]
fn a_file_of_machine_runner_3_works_as_it_is() {
    let config = load(
        r#"
api:
  url: "https://runner.example/"
  auth_token: "token"
runner:
  name: "a.b(c)_d-e"
  working_directory: "/Users/ci/Library/com.circleci.runner/workdir"
  cleanup_working_directory: true
  use_home_ssh_dir_for_checkout_keys: false
  task_agent_directory: "/Users/ci/.local/libexec/circleci"
  cache_task_agent: true
  enable_unsafe_retries: true
logging: { level: debug, format: json, file: "-" }
"#,
    );
    assert_eq!(config.api_url, "https://runner.example");
    assert!(config.enable_unsafe_retries);
    assert_eq!((config.logging.level, config.logging.format), (Level::Debug, Format::Json));
    assert_eq!(config.logging.file, None);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_environment_wins_over_the_file_ours_over_theirs() {
    let text = "api: { auth_token: file }\nrunner: { name: file }\n";
    let config = load_with(
        text,
        &[
            ("HOME", "/home/me"),
            ("LAUNCH_AGENT_API_AUTH_TOKEN", "oldest"),
            ("CIRCLECI_RUNNER_API_AUTH_TOKEN", "older"),
            ("RUSSET_API_AUTH_TOKEN", "ours"),
            ("LAUNCH_AGENT_RUNNER_NAME", "from-launch-agent"),
            ("CIRCLECI_RUNNER_WORK_DIR", "/work"),
            ("CIRCLECI_RUNNER_COMMAND_PREFIX", "sudo,-u,ci"),
            ("CIRCLECI_RUNNER_MAX_RUN_TIME", "30m"),
            ("RUSSET_RUNNER_ENVIRONMENT", "A=b,C=d"),
            ("RUSSET_RUNNER_LIMITS_DISK", "2GiB"),
        ],
    )
    .unwrap();
    assert_eq!(config.classes[0].token.read().unwrap().expose(), "ours");
    assert_eq!(config.name, "from-launch-agent");
    assert_eq!(config.working_directory.as_deref(), Some("/work"));
    assert_eq!(config.command_prefix, ["sudo", "-u", "ci"]);
    assert_eq!(config.max_run_time, Duration::from_secs(1800));
    assert_eq!(config.environment["C"], "d");
    assert_eq!(config.limits.disk_bytes, Some(2 << 30));
}

#[test]
fn several_classes_have_tokens_slots_limits_and_hooks_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "from-file\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = load(&format!(
        r#"
runner:
  slots: 2
  limits: {{ processes: 500, disk: 20GB, kill_grace: 5s }}
  classes:
    - token_file: {}
      allowed_projects: [acme/*]
    - token: second
      resource_class: acme/big
      slots: 1
      allow_forks: true
      session: background
      credentials: []
      limits: {{ disk: 50GB }}
      hooks: {{ pre_task: /bin/true, post_task: /bin/sh, timeout: 30s }}
"#,
        token.display()
    ));
    let [first, second] = &config.classes[..] else { panic!("two classes") };
    assert_eq!((first.token.read().unwrap().expose(), first.slots), ("from-file", 2));
    assert_eq!(first.allowed_projects, ["acme/*"]);
    assert_eq!((second.slots, second.allow_forks), (1, true));
    assert_eq!(second.hooks.pre_task.as_deref(), Some(Path::new("/bin/true")));
    assert_eq!(second.hooks.timeout_ms, 30_000);
    assert_eq!(second.limits.disk_bytes, Some(50_000_000_000));
    assert_eq!((second.limits.processes, second.limits.kill_grace_ms), (Some(500), 5_000));
}

#[test]
fn a_secret_is_in_no_message() {
    let config = load("api: { auth_token: hunter2 }");
    assert!(!format!("{config:?}").contains("hunter2"));
    for text in ["api: { auth_token: [hunter2] }", "api: { auth_token: hunter2 x }"] {
        assert!(!mistake(text).contains("hunter2"), "{text}");
    }
}

#[test]
fn every_mistake_names_its_place_and_the_way_out() {
    let mistakes = [
        "api:\n  auth_tokn: x\n",
        "runner:\n  max_runtime: 5h\n",
        "auth_token: x\n",
        "something: x\n",
        "api: { auth_token: x }\nrunner:\n  max_run_time: 5\n",
        "api: { auth_token: x }\nrunner:\n  mode: once\n",
        "api: { auth_token: x }\nrunner:\n  cleanup_working_directory: maybe\n",
        "api: { auth_token: x }\nrunner:\n  name: mini 1\n",
        "api: { auth_token: x }\nrunner: mini\n",
        "api: { auth_token: x }\nrunner:\n  command_prefix: sudo\n",
        "api: { auth_token: x }\nrunner:\n  slots: 2\n  working_directory: /work\n",
        "api: { auth_token: x }\nrunner:\n  slots: 0\n",
        "api: { auth_token: x }\nrunner:\n  classes: [{ token: y }]\n",
        "api: { auth_token: x, url: ftp://example.com }\n",
        "api: { auth_token: x, url: \"https://example.com/path\" }\n",
        "api: { auth_token: \"[[RESOURCE_CLASS_TOKEN]]\" }\n",
        "runner:\n  name: mini\n",
        "runner:\n  classes:\n    - { tokn: x }\n",
        "api: { auth_token: x }\nrunner:\n  hooks: { pre_task: /bin/true }\n",
        "api: { auth_token: x }\nrunner:\n  allow_forks: true\n",
        "runner:\n  classes:\n    - { slots: 1 }\n",
        "runner:\n  classes:\n    - { token: x, gui_user: ci }\n",
        "runner:\n  classes:\n    - { token: x, credentials: [apple] }\n",
        "runner:\n  classes:\n    - { token: x, resource_class: a/b, credentials: [a-b, a.b] }\n",
        "runner:\n  classes:\n    - { token: x, token_stored: y }\n",
        "runner:\n  classes:\n    - { token_stored: ../y }\n",
        "runner:\n  classes:\n    - { token: x, xcode: \"16;beta\" }\n",
        "runner:\n  classes:\n    - { token: x, hooks: { pre_task: /no/such/hook } }\n",
        "runner:\n  classes:\n    - { token: x, resource_class: mini }\n",
        "api: { auth_token: x }\nrunner:\n  ssh:\n    advertise_addr_url: http://x\n",
        "api: { auth_token: x }\napi: {}\n",
        "api: { auth_token: *x }\n",
        "api: &a { auth_token: x }\nrunner: *a\n",
        "api: [\n",
        "a: 1\n---\nb: 2\n",
    ];
    let shown: Vec<String> = mistakes.iter().map(|text| mistake(text)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_file_with_a_token_that_others_can_read_is_refused_to_root() {
    let file = file("api: { auth_token: x }\n");
    std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let result =
        config::load_config(&file.path, &|name| (name == "HOME").then(|| "/home/me".to_owned()));
    if nix::unistd::geteuid().is_root() {
        let error = result.expect_err("others can read it");
        assert!(error.to_string().contains("mode 0640"), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"), "{error}");
    } else {
        assert!(result.unwrap().warnings[0].contains("chmod 600"));
    }
    // A token of the environment wins over a file with one, too.
    let text = "api: { auth_token_file: /no/such/file }\n";
    let config = load_with(text, &[("HOME", "/home/me"), ("RUSSET_API_AUTH_TOKEN", "env")]);
    assert_eq!(config.unwrap().classes[0].token.read().unwrap().expose(), "env");
    // Where the token comes from the environment, the file holds no secret.
    std::fs::write(&file.path, "runner: { name: mini }\n").unwrap();
    let env = |name: &str| match name {
        "RUSSET_API_AUTH_TOKEN" => Some("x".to_owned()),
        "HOME" => Some("/home/me".to_owned()),
        _ => None,
    };
    assert!(config::load_config(&file.path, &env).is_ok());
}

#[test]
fn a_token_file_that_others_can_read_is_refused_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "x").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = mistake(&format!("api: {{ auth_token_file: {} }}\n", token.display()));
    assert!(said.contains("mode 0644") && said.contains("chmod 600"), "{said}");
}

#[test]
fn a_file_that_is_no_configuration_is_refused_quickly() {
    let huge = "x".repeat(50 << 20);
    assert!(mistake(&huge).contains("longer than 1048576 bytes"));
    let deep = format!("api: {}{}", "[".repeat(50), "]".repeat(50));
    assert!(mistake(&deep).contains("nested"));
    assert!(mistake(&format!("api: {}", "[".repeat(100_000))).contains("not valid YAML"));
    let missing = config::load_config(Path::new("/no/such/config.yaml"), &|_| None).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}

#[test]
fn updates_that_are_disabled_are_off_even_where_a_source_is_given() {
    let text = |disabled: &str| {
        format!(
            "api: {{auth_token: t}}\nrunner: {{name: n, disable_auto_update: {disabled}}}\n\
             update: {{source: control-plane}}\n"
        )
    };
    assert!(load(&text("true")).update.source.is_none());
    // Without keys a source is refused, which shows that it was going to be asked.
    let error = mistake(&text("false"));
    assert!(error.contains("`update.source` is for nothing"), "{error}");
    let env = [("HOME", "/home/me"), ("LAUNCH_AGENT_RUNNER_DISABLE_AUTO_UPDATE", "true")];
    assert!(load_with(&text("false"), &env).unwrap().update.source.is_none());
}

#[test]
fn sizes_and_durations_are_written_as_on_the_command_line() {
    let text = |disk: &str, time: &str| {
        format!(
            "api: {{auth_token: t}}\nrunner: {{name: n, max_run_time: {time}, \
             limits: {{disk: {disk}}}}}\n"
        )
    };
    let config = load(&text("1.5GB", "1h 30m"));
    assert_eq!(config.max_run_time, Duration::from_secs(5400));
    assert_eq!(config.limits.disk_bytes, Some(1_500_000_000));
    assert_eq!(load(&text("17", "2d")).limits.disk_bytes, Some(17));
    let error = mistake(&text("1.5XB", "1h"));
    assert!(error.contains("`1.5XB` is not a size: write a number of bytes"), "{error}");
}
