//! Caches and workspaces, with real servers, agents and tasks.

use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::support::admin::assert_outcome;
use crate::support::{
    Agent, AgentOptions, CLASS, Fault, FaultProxy, Lacks, Server, can_be_root, config, is_root,
    run, skip, wait_for,
};

/// A step that saves `paths` under `key`.
fn save(key: &str, paths: &str) -> String {
    format!("save_cache: {{key: '{key}', paths: {paths}}}")
}

/// A step that restores one of `keys`.
fn restore(keys: &str) -> String {
    format!("restore_cache: {{keys: {keys}}}")
}

/// Runs one job that must succeed, and returns its log.
#[track_caller]
fn log_of(server: &Server, steps: &[&str]) -> String {
    let job = server.admin.run(&config(steps));
    assert_outcome(&server.admin, &job, Outcome::Success);
    server.admin.output(&job)
}

#[test]
fn a_cache_comes_back_where_it_was_with_modes_times_and_links() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    log_of(
        &server,
        &[
            &run("mkdir -p ~/.cache/tool deps/bin; echo one > ~/.cache/tool/a\n\
                  echo two > deps/bin/run; chmod 751 deps/bin/run; ln -s run deps/bin/alias\n\
                  touch -d '2001-02-03T04:05:06.789Z' deps/bin/run; echo lock > lock.txt"),
            &save("v1-{{ arch }}-{{ checksum \"lock.txt\" }}", "[~/.cache/tool, deps]"),
        ],
    );
    let log = log_of(
        &server,
        &[
            &run("echo lock > lock.txt"),
            &restore("['v1-{{ arch }}-{{ checksum \"lock.txt\" }}']"),
            &run("cat ~/.cache/tool/a deps/bin/alias\n\
                  test $(stat -c %a deps/bin/run) = 751\n\
                  test -h deps/bin/alias\n\
                  test \"$(date -u -r deps/bin/run +%FT%T.%3N)\" = 2001-02-03T04:05:06.789"),
        ],
    );
    assert!(log.contains("one\ntwo\n"), "{log}");
    assert!(log.contains("Found a cache from build 1 at v1-linux-"), "{log}");
}

#[test]
fn keys_are_prefixes_and_the_newest_wins_and_the_first_key_that_has_something() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    for (key, text) in [("v1-a", "older"), ("v1-b", "newer"), ("v2%_-x", "other")] {
        log_of(&server, &[&run(&format!("echo {text} > f")), &save(key, "[f]")]);
    }
    let found = |keys: &str| log_of(&server, &[&restore(keys), &run("cat f || echo nothing")]);
    assert!(found("[v1-]").contains("newer\n"));
    assert!(found("[v1-a]").contains("older\n"));
    assert!(found("[none, v2, v1-]").contains("other\n"));
    let log = found("['%', v1-c]");
    assert!(
        log.contains("No cache is found for key: %\nNo cache is found for key: v1-c\n"),
        "{log}"
    );
    assert!(log.contains("nothing\n"), "{log}");
}

#[test]
fn a_key_is_never_written_twice() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let saved =
        |text: &str| log_of(&server, &[&run(&format!("echo {text} > f")), &save("k", "[f]")]);
    assert!(saved("first").contains("Stored cache for the key k\n"));
    let log = saved("second");
    assert!(log.contains("Skipped: there is a cache for the key k already, from build 1"), "{log}");
    assert!(log_of(&server, &[&restore("[k]"), &run("cat f")]).contains("first\n"));
}

#[test]
fn what_is_wrong_with_a_cache_step_is_said() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let log = log_of(&server, &[&save("k", "[none, /no/such]")]);
    assert!(log.contains("warning: none is not there, and is left out"), "{log}");
    assert!(log.contains("there is nothing to save"), "{log}");
    let job = server.admin.run(&config(&[&restore("['{{ checksum \"none\" }}']")]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = server.admin.output(&job);
    assert!(log.contains("checksum of `none`: No such file"), "{log}");
}

/// Submits one job for a project, as a fork or not.
#[track_caller]
fn submit(server: &Server, project: &str, fork: bool, branch: &str, steps: &[&str]) -> Job {
    let body = json!({
        "project": project, "config": config(steps), "from_fork": fork, "branch": branch,
    });
    let pipeline: Pipeline =
        serde_json::from_value(server.admin.post("/api/v3/pipelines", body)).unwrap();
    server.admin.wait(&pipeline);
    server.admin.only_job(&pipeline)
}

#[test]
fn projects_and_forks_see_no_caches_of_each_other() {
    let server = Server::start();
    let class = json!({ "resource_class": CLASS, "description": "", "allow_forks": true });
    server.admin.post("/api/v3/runner/resource", class);
    let nickname = json!({ "resource_class": CLASS, "nickname": "test" });
    let token = server.admin.post("/api/v3/runner/token", nickname);
    let token = token["token"].as_str().unwrap();
    let options = AgentOptions {
        api: vec!["ca_file:".to_owned()],
        runner: vec![format!("classes: [{{token: {token}, allow_forks: true}}]")],
        ..AgentOptions::default()
    };
    let _agent = Agent::start_at(server.url(), token, &options);
    let write = |text: &str| run(&format!("echo {text} > f"));
    let (key, keys) = (save("k", "[f]"), restore("[k]"));
    for (project, fork, branch, text) in [
        ("test/a", false, "main", "a-main"),
        ("test/a", true, "pull/1", "a-fork"),
        ("test/b", false, "main", "b-main"),
    ] {
        let job = submit(&server, project, fork, branch, &[&write(text), &key]);
        assert_outcome(&server.admin, &job, Outcome::Success);
    }
    for (project, fork, branch, wanted) in [
        ("test/a", false, "main", "a-main"),
        ("test/a", false, "other", "a-main"),
        ("test/a", true, "pull/1", "a-fork"),
        ("test/a", true, "pull/2", "nothing"),
        ("test/b", false, "main", "b-main"),
        ("test/c", false, "main", "nothing"),
    ] {
        let job = submit(&server, project, fork, branch, &[&keys, &run("cat f || echo nothing")]);
        assert_outcome(&server.admin, &job, Outcome::Success);
        let log = server.admin.output(&job);
        assert!(log.contains(&format!("{wanted}\n")), "{project} {fork} {branch}: {log}");
    }
}

/// A workflow of these jobs: name, what it requires, steps.
fn workflow(jobs: &[(&str, &str, &[&str])]) -> String {
    let mut text = "version: 2.1\njobs:\n".to_owned();
    for (name, _, steps) in jobs {
        text += &format!("  {name}:\n    machine: true\n    resource_class: {CLASS}\n    steps:\n");
        for step in *steps {
            text += &format!("      - {}\n", step.replace('\n', "\n        "));
        }
    }
    text += "workflows:\n  main:\n    jobs:\n";
    for (name, requires, _) in jobs {
        text += &format!("      - {name}: {{requires: [{requires}]}}\n");
    }
    text
}

/// Runs a workflow and returns its jobs, in the order of the text.
#[track_caller]
fn jobs_of(server: &Server, config: &str) -> Vec<Job> {
    let pipeline = server.admin.wait(&server.admin.submit(config));
    pipeline.workflows[0].jobs.iter().map(|job| server.admin.job(&job.id)).collect()
}

fn persist(root: &str, paths: &str) -> String {
    format!("persist_to_workspace: {{root: {root}, paths: {paths}}}")
}

#[test]
fn a_workspace_brings_together_what_all_jobs_before_handed_on() {
    let server = Server::start();
    let _agent = Agent::start_with(
        &server,
        &AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() },
    );
    let jobs = jobs_of(
        &server,
        &workflow(&[
            (
                "first",
                "",
                &[
                    &run("mkdir -p ws/dir; echo base > ws/base; echo old > ws/dir/version"),
                    &persist("ws", "['*']"),
                ],
            ),
            (
                "left",
                "first",
                &[
                    "attach_workspace: {at: here}",
                    &run(
                        "cat here/base; echo new > here/dir/version; echo l > here/left.txt; echo no > here/left.log",
                    ),
                    &persist("here", "['*.txt', dir]"),
                ],
            ),
            (
                "right",
                "first",
                &[&run("mkdir -p ws/deep/er; echo r > ws/deep/er/right"), &persist("ws", "[deep]")],
            ),
            ("alone", "", &[&run("mkdir ws; echo alone > ws/alone"), &persist("ws", "[.]")]),
            (
                "last",
                "left, right",
                &[
                    "attach_workspace: {at: /tmp/../tmp/ws}",
                    "attach_workspace: {at: ~/ws}",
                    &run(
                        "cd ~/ws; cat dir/version left.txt deep/er/right base; ls | cat; test ! -e alone",
                    ),
                ],
            ),
        ]),
    );
    for job in &jobs {
        assert_outcome(&server.admin, job, Outcome::Success);
    }
    let log = server.admin.output(jobs.last().unwrap());
    assert!(log.contains("new\nl\nr\nbase\n"), "{log}");
    assert!(log.contains("base\ndeep\ndir\nleft.txt\n"), "{log}");
    assert!(log.contains("Applying workspace layers\n  first ("), "{log}");
}

#[test]
fn the_tasks_of_a_parallel_job_hand_on_side_by_side_and_not_the_same_file() {
    let server = Server::start();
    let _agent = Agent::start_with(
        &server,
        &AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() },
    );
    let make = run("mkdir out; echo $CIRCLE_NODE_INDEX > out/$CIRCLE_NODE_INDEX; echo x > same");
    let parallel = |paths: &str| {
        let config = workflow(&[
            ("many", "", &[&make, &persist(".", paths)]),
            ("collect", "many", &["attach_workspace: {at: .}", &run("cat out/*")]),
        ]);
        config.replacen("    machine: true\n", "    machine: true\n    parallelism: 3\n", 1)
    };
    let jobs = jobs_of(&server, &parallel("[out]"));
    assert_outcome(&server.admin, &jobs[1], Outcome::Success);
    let log = server.admin.output(&jobs[1]);
    assert!(log.contains("0\n1\n2\n") && log.contains("  many (task 2) ("), "{log}");
    let jobs = jobs_of(&server, &parallel("[same]"));
    assert_outcome(&server.admin, &jobs[1], Outcome::Failed);
    let log = server.admin.output(&jobs[1]);
    assert!(log.contains("the same file into the workspace: same, by many"), "{log}");
}

#[test]
fn two_jobs_at_the_same_time_must_not_hand_on_the_same_file() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let make = run("mkdir -p ws/sub; echo $CIRCLE_JOB > ws/sub/same; echo x > ws/$CIRCLE_JOB");
    let hand_on = persist("ws", "[.]");
    let steps: &[&str] = &[&make, &hand_on];
    let jobs = jobs_of(
        &server,
        &workflow(&[
            ("one", "", steps),
            ("two", "", steps),
            ("three", "one", steps),
            ("fine", "three", &["attach_workspace: {at: .}", &run("cat sub/same")]),
            ("both", "one, two", &["attach_workspace: {at: .}"]),
        ]),
    );
    assert_outcome(&server.admin, &jobs[3], Outcome::Success);
    assert!(server.admin.output(&jobs[3]).contains("three\n"));
    assert_outcome(&server.admin, &jobs[4], Outcome::Failed);
    let log = server.admin.output(&jobs[4]);
    let wanted =
        "error: concurrent upstream jobs persisted the same file into the workspace: sub/same";
    assert!(log.contains(wanted), "{log}");
}

#[test]
fn a_workspace_step_says_what_is_wrong() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    for (step, wanted) in [
        (persist(".", "[none]"), "the paths do not match any files"),
        (persist("ws", "[../secret]"), "is not below the root"),
    ] {
        let job = server.admin.run(&config(&[&run("mkdir ws; echo x > secret"), &step]));
        assert_outcome(&server.admin, &job, Outcome::Failed);
        let log = server.admin.output(&job);
        assert!(log.contains(wanted), "{log}");
    }
    let log = log_of(&server, &["attach_workspace: {at: ws}", &run("ls -d ws")]);
    assert!(log.contains("No job before this one has handed on any files"), "{log}");
}

#[test]
fn a_repeat_comes_from_the_copy_on_the_machine_and_only_for_the_same_project() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let write = run("head -c 300000 /dev/urandom > f; sha256sum f");
    let job = submit(&server, "test/a", false, "main", &[&write, &save("k", "[f]")]);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let sum: String = server.admin.output(&job).chars().take(64).collect();
    let again = || {
        let job = submit(&server, "test/a", false, "main", &[&restore("[k]"), &run("sha256sum f")]);
        assert_outcome(&server.admin, &job, Outcome::Success);
        server.admin.output(&job)
    };
    let log = again();
    assert!(log.contains(&sum), "{log}");
    let copies = agent.state().join("slots/1/caches");
    let copy = || {
        let scope = std::fs::read_dir(&copies).unwrap().next()?.unwrap().path();
        Some(std::fs::read_dir(scope).unwrap().next()?.unwrap().path())
    };
    let Some(copy) = copy() else {
        skip(Lacks::Machine, "this disk has no room for copies");
        return;
    };
    assert!(log.contains("from the copy on this machine"), "{log}");
    // One that was exchanged is noticed, and fetched instead.
    let text = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, vec![0; text.len()]).unwrap();
    let log = again();
    assert!(log.contains(&sum) && !log.contains("from the copy"), "{log}");
    assert!(std::fs::read(&copy).unwrap() == text, "it is there again");
    // Another project's job has a place of its own, and cannot get at this one.
    let look = run(&format!("ls {} && echo seen || echo hidden", copies.display()));
    let job = submit(&server, "test/b", false, "main", &[&restore("[k]"), &look]);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let log = server.admin.output(&job);
    assert!(log.contains("No cache is found"), "{log}");
    if is_root() {
        assert!(log.contains("hidden\n"), "{log}");
    }
}

#[test]
fn an_upload_that_is_cut_and_a_server_that_is_killed_lose_no_cache() {
    let mut server = Server::start();
    let proxy = FaultProxy::start(server.url());
    let options = AgentOptions { url: Some(proxy.url().to_owned()), ..AgentOptions::default() };
    let _agent = Agent::start_with(&server, &options);
    let pipeline = server.admin.submit(&config(&[
        &run("head -c 30000000 /dev/urandom > f; sha256sum f; echo ready; while ! test -e ~/go; do sleep 0.05; done"),
        &save("k", "[f]"),
        &persist(".", "[f]"),
        &run("rm f"),
        &restore("[k]"),
        &run("sha256sum f"),
    ]));
    server.admin.wait_for_output(&pipeline, "ready");
    proxy.set(Fault::Truncate(3));
    let agent_home = _agent.state().join("slots/1/home/go");
    std::fs::write(agent_home, "").unwrap();
    wait_for("the save to begin", || {
        server
            .admin
            .output(&server.admin.only_job(&pipeline))
            .contains("Creating cache")
            .then_some(())
    });
    server.kill();
    server.start_again();
    proxy.set(Fault::None);
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let log = server.admin.output(&job);
    assert!(log.contains("Stored cache for the key k"), "{log}");
    let sums: Vec<&str> = log.lines().filter(|line| line.ends_with("  f")).collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{log}");
}

#[test]
fn a_disk_that_is_full_fails_the_restore_and_not_the_runner() {
    if !can_be_root("to make a small file system") {
        return;
    }
    let server = Server::start();
    let token = server.admin.class_token(CLASS);
    let large = Agent::start_at(server.url(), &token, &AgentOptions::default());
    log_of(&server, &[&run("yes text | head -c 100000000 > f || true"), &save("k", "[f]")]);
    drop(large);
    let small = AgentOptions {
        disk: Some("40m"),
        runner: vec!["health: {disk_reserve: 1KB}".to_owned()],
        ..AgentOptions::default()
    };
    let _agent = Agent::start_at(server.url(), &token, &small);
    let job = server.admin.run(&config(&[&restore("[k]")]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = server.admin.output(&job);
    assert!(log.contains("could not unpack `work/f`: No space left on device"), "{log}");
    let log = log_of(&server, &[&run("echo the runner lives")]);
    assert!(log.contains("the runner lives"), "{log}");
}

#[test]
fn how_long_tests_took_is_known_to_the_next_job_of_the_name_that_splits_them() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let report = "<testsuite name='s'><testcase file='a.py' classname='A' name='x' time='9'/>\
                  <testcase file='b.py' classname='B' name='y' time='1'/>\
                  <testcase file='c.py' classname='C' name='z' time='2'/></testsuite>";
    log_of(
        &server,
        &[&run(&format!("echo \"{report}\" > r.xml")), "store_test_results: {path: r.xml}"],
    );
    let log = log_of(
        &server,
        &[&run("cat $CIRCLE_INTERNAL_TASK_DATA/timings.json; echo\n\
             printf 'a.py\\nb.py\\nc.py\\n' |\n\
               circleci tests split --split-by=timings --total=2 --index=1 | tr '\\n' ' '")],
    );
    assert!(log.contains(r#""file":{"a.py":9.0,"b.py":1.0,"c.py":2.0}"#), "{log}");
    // Another job that takes the other part has times of its own, so names decide.
    assert!(log.contains("falling back to splitting by name"), "{log}");
    assert!(log.contains("\nb.py "), "{log}");
}

#[test]
fn the_tasks_of_a_parallel_job_share_tests_by_the_times_of_the_run_before() {
    let server = Server::start();
    let _agent = Agent::start_with(
        &server,
        &AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() },
    );
    // By name a and c would be together, which have most of the time.
    let case = |name: &str, time: &str| format!("<testcase file='{name}.py' time='{time}'/>");
    let report = format!(
        "<testsuite name='s'>{}{}{}{}</testsuite>",
        case("a", "8"),
        case("b", "1"),
        case("c", "7"),
        case("d", "2")
    );
    log_of(
        &server,
        &[&run(&format!("echo \"{report}\" > r.xml")), "store_test_results: {path: r.xml}"],
    );
    let list = "printf 'a.py\\nb.py\\nc.py\\nd.py\\n' |";
    let steps = [
        run(&format!("echo split=$({list} circleci tests split --split-by=timings)")),
        run(&format!(
            "{list} circleci tests run --split-by=timings --verbose --command='xargs echo ran'"
        )),
        run(&format!("echo name=$({list} circleci tests split --split-by=name)")),
        run("printf '' | circleci tests run --command='echo must not run'"),
        run("circleci version; printf 'x y' | circleci tests run --index=0 --total=1 \\\n  \
             --command='cat; exit 7' || echo \" code $?\""),
    ];
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let config = config(&steps).replacen("machine: true", "machine: true\n    parallelism: 2", 1);
    let job = server.admin.run(&config);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let outputs = [0, 1].map(|task| {
        let path = format!("/api/v3/jobs/{}/stdout?filter[task]={task}", job.id);
        let (status, bytes) = server.admin.send(reqwest::Method::GET, &path, None).unwrap();
        assert_eq!(status, 200);
        String::from_utf8(bytes).unwrap()
    });
    let log = outputs.concat();
    for wanted in [
        "split=a.py b.py\n",
        "split=c.py d.py\n",
        "ran a.py b.py\n",
        "ran c.py d.py\n",
        "name=a.py c.py\n",
        "name=b.py d.py\n",
        "run 1 of 2",
        "run 2 of 2",
        "There were no tests found\n",
        "x y code 7\n",
    ] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert!(log.contains(&format!("{}\n", env!("CARGO_PKG_VERSION"))), "{log}");
    assert!(!log.contains("must not run\n"), "{log}");
}
