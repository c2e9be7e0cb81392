//! Lists and completion at the command line, with a real server and the real binary.

use std::process::Command;
use std::time::{Duration, Instant};

use russet_protocol::admin::Pipeline;

use crate::support::command_line::CommandLine;
use crate::support::{CLASS, Server, config, run, russet, test_dir};

/// A server with pipelines that wait, and a directory with its token.
fn server_with_pipelines() -> (Server, tempfile::TempDir) {
    let server = Server::start();
    server.admin.class_token(CLASS);
    for _ in 0..3 {
        server.admin.submit(&config(&[&run("true")]));
    }
    let dir = test_dir();
    std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
    (server, dir)
}

#[test]
fn lists_say_when_there_is_more_and_sort_all_or_nothing() {
    let (server, dir) = server_with_pipelines();
    let line = CommandLine::new(&server, dir.path());
    for list in ["pipeline", "workflow", "job"] {
        let (code, out, err) = line.call(&[list, "list", "--limit", "2"]);
        assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
        assert!(err.contains("There are more: --page-token ") && err.contains("--all"), "{err}");
        let (_, out, err) = line.call(&[list, "list", "--all"]);
        assert_eq!((out.lines().count(), err.as_str()), (4, ""), "{out}");
        let numbers = |order: &str| -> Vec<u64> {
            let out = line.succeed(&[list, "list", "--sort", order, "-o", "json"]);
            let items: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
            let number = |item: &serde_json::Value| item["pipeline"]["number"].as_u64();
            items.iter().map(|item| number(item).or(item["number"].as_u64()).unwrap()).collect()
        };
        assert_eq!(numbers("newest"), [3, 2, 1]);
        assert_eq!(numbers("oldest"), [1, 2, 3]);
        let (_, out, err) = line.call(&[list, "list", "--sort", "duration", "--limit", "1"]);
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(err.contains("These are 1 of 3"), "{err}");
    }
    let (code, _, err) = line.call(&["job", "list", "--sort", "name"]);
    assert!(code == 2 && err.contains("newest"), "{err}");
}

/// Calls the program as the scripts of shells do.
fn completed(
    server: Option<&Server>,
    dir: &std::path::Path,
    shell: &str,
    words: &[&str],
) -> String {
    let index = (words.len() - 1).to_string();
    let mut command = Command::new(russet());
    command
        .arg("--")
        .args(words)
        .env("RUSSET_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_IFS", "\n")
        .env("XDG_CONFIG_HOME", dir)
        .env("RUSSET_TOKEN_FILE", dir.join("token"))
        // Nothing listens there.
        .env("RUSSET_URL", server.map_or("http://127.0.0.1:9", Server::url));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn shells_complete_commands_and_the_names_that_the_server_knows() {
    let (server, dir) = server_with_pipelines();
    let complete = |shell: &str, words: &[&str]| completed(Some(&server), dir.path(), shell, words);
    let pipeline = server.admin.get::<Pipeline>("/api/v3/pipelines/latest");
    let (project, id) = (pipeline.project.clone(), pipeline.id.to_string());
    let named = format!("{project}#3");
    for shell in ["bash", "zsh", "fish"] {
        assert!(complete(shell, &["russet", "pipe"]).contains("pipeline"));
        assert!(complete(shell, &["russet", "pipeline", "show", "--out"]).contains("--output"));
        let pipelines = complete(shell, &["russet", "pipeline", "show", ""]);
        assert!(pipelines.contains(&named) && pipelines.lines().count() >= 3, "{pipelines}");
        let ids = complete(shell, &["russet", "pipeline", "show", &id[..id.len() - 1]]);
        assert!(ids.contains(&id), "{ids}");
        let jobs = complete(shell, &["russet", "job", "logs", &format!("{named}/")]);
        assert!(jobs.starts_with(&format!("{named}/")), "{jobs}");
        let workflows = complete(shell, &["russet", "workflow", "rerun", &project[..1]]);
        assert!(workflows.contains(&format!("{named}/")), "{workflows}");
        assert!(complete(shell, &["russet", "token", "create", ""]).contains(CLASS));
        assert!(complete(shell, &["russet", "job", "list", "--project", ""]).contains(&project));
    }
    let script = Command::new(russet()).args(["completion", "bash"]).output().unwrap();
    let script = String::from_utf8(script.stdout).unwrap();
    // As bash itself does at a press of Tab.
    let driver = format!(
        "{script}\nCOMP_WORDS=(russet pipeline show \"\") COMP_CWORD=3 COMP_TYPE=9\n\
         _clap_complete_russet russet '' show; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let path = format!("{}:/usr/bin:/bin", russet().parent().unwrap().display());
    let output = Command::new("bash")
        .args(["-c", &driver])
        .env("PATH", path)
        .env("RUSSET_URL", server.url())
        .env("RUSSET_TOKEN_FILE", dir.path().join("token"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().any(|line| line == named), "{said}");
}

#[test]
fn without_a_server_completion_is_silent_and_quick() {
    let dir = test_dir();
    std::fs::write(dir.path().join("token"), "x").unwrap();
    let began = Instant::now();
    let said = completed(None, dir.path(), "zsh", &["russet", "pipeline", "show", ""]);
    assert!(!said.contains('#'), "{said}");
    // A server that takes connections and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let words = ["russet", "pipeline", "show", "--url", &url, ""];
    completed(None, dir.path(), "fish", &words);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
