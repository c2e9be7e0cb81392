//! `circleci tests split --split-by=timings` where a job has more tasks than the machine has slots.

use std::collections::BTreeMap;

use russet_protocol::admin::Job;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, AgentOptions, Server, config, run};

const FILES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

const TASKS: usize = 4;

/// Splits the files, and reports a time for each under the full path of the slot, as many
/// reporters do. The times depend on `seed`, so that each job changes what is known.
fn splitting(seed: usize) -> String {
    let script = format!(
        "files=$(printf '%s.js\\n' {} | circleci tests split --split-by=timings --show-counts)\n\
         echo \"RUN $CIRCLE_NODE_INDEX:\" $files\n\
         mkdir r\n\
         for file in $files; do\n\
           time=$(( ({seed} * 31 + $(printf '%d' \"'$file\") * 17) % 50 + 1 ))\n\
           echo \"<testcase name='$file' classname='$PWD/$file' file='$PWD/$file' time='$time'/>\"\n\
         done > cases\n\
         (echo '<testsuite>'; cat cases; echo '</testsuite>') > r/x.xml",
        FILES.join(" ")
    );
    let steps = [run(&script), "store_test_results: {path: r}".to_owned()];
    let config = config(&steps.each_ref().map(String::as_str));
    config.replacen("machine: true", &format!("machine: true\n    parallelism: {TASKS}"), 1)
}

/// Checks that each file was run by exactly one of the tasks of a job. Returns its log.
#[track_caller]
fn assert_partition(server: &Server, job: &Job) -> String {
    assert_outcome(&server.admin, job, Outcome::Success);
    let log = server.admin.output(job);
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("RUN ")).collect();
    assert_eq!(lines.len(), TASKS, "{log}");
    for file in lines.iter().flat_map(|line| line.split(' ').skip(2)) {
        *runs.entry(file.trim_end_matches(".js")).or_default() += 1;
    }
    assert_eq!(runs, FILES.map(|file| (file, 1)).into(), "{log}");
    log
}

#[test]
fn each_test_runs_once_with_more_tasks_than_slots_while_other_jobs_change_the_times() {
    let server = Server::start();
    let options = AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() };
    let _agent = Agent::start_with(&server, &options);
    let first = server.admin.run(&splitting(0));
    let log = assert_partition(&server, &first);
    assert!(log.contains("no times of these tests are known"), "{log}");
    let all: Vec<_> = (1..5).map(|seed| server.admin.submit(&splitting(seed))).collect();
    for pipeline in all {
        let done = server.admin.wait(&pipeline);
        let log = assert_partition(&server, &server.admin.only_job(&done));
        // Each knows the times of all files, whichever slot reported them.
        let counted = log.matches("the times of files, of which 8 are known").count();
        assert_eq!(counted, TASKS, "{log}");
    }
}
