//! The live page of a job in a real browser.

use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::EventKind;
use serde_json::json;

use crate::chromium::{Browser, chromium};
use crate::support::{Agent, CLASS, Harness, ok};

/// A browser has six connections to a server; a page of more running tasks must do with them.
const TASKS: usize = 8;

fn config() -> String {
    format!(
        "version: 2.1\njobs:\n  test:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: {TASKS}\n    steps: [run: 'true']\nworkflows: {{main: {{jobs: [test]}}}}\n"
    )
}

fn said(index: usize) -> String {
    format!("said by {index}\n")
}

async fn append(agent: &Agent, offset: usize, text: &str) {
    ok(agent.append(1, u64::try_from(offset).unwrap(), text.as_bytes().to_vec())).await;
}

async fn end(agent: &mut Agent, outcome: Outcome, bytes: usize) {
    let output_bytes = u64::try_from(bytes).unwrap();
    let (step, exit_code) = (1, Some(i32::from(outcome == Outcome::Failed)));
    let message = (outcome == Outcome::Failed).then(|| "it is broken".to_owned());
    agent.event(EventKind::StepFinished { step, outcome, exit_code, message, output_bytes }).await;
    ok(agent.finish_request(outcome, &[(1, output_bytes)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_page_shows_each_task_of_a_job_apart_and_how_each_ends() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config()).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    // What comes while the page is open, in another order than that of the tasks.
    let mut agents = Vec::new();
    for _ in 0..TASKS {
        agents.push(server.claim(&token).await.unwrap());
    }
    for (index, agent) in agents.iter_mut().enumerate().rev() {
        agent.start_step(1).await;
        append(agent, 0, &said(index)).await;
    }
    let running = "document.querySelectorAll('details .state.running').length";
    browser.wait(&format!("{running} === {TASKS}")).await;
    for index in 0..TASKS {
        let shown = json!(said(index));
        browser
            .wait(&format!("document.querySelector('#task-{index} pre').textContent === {shown}"))
            .await;
    }
    for (index, agent) in agents.iter_mut().enumerate() {
        append(agent, said(index).len(), "the end\n").await;
        let outcome = if index == 3 { Outcome::Failed } else { Outcome::Success };
        end(agent, outcome, said(index).len() + "the end\n".len()).await;
    }
    assert_eq!(server.job(&pipeline).await.phase, Phase::Ended);
    browser.wait("document.querySelectorAll('.state.running').length === 0").await;
    for index in 0..TASKS {
        let shown = json!(said(index) + "the end\n");
        browser
            .wait(&format!("document.querySelector('#task-{index} pre').textContent === {shown}"))
            .await;
        let state = if index == 3 { "failed" } else { "success" };
        let heads = format!("document.querySelectorAll('#task-{index} .state.{state}').length");
        assert_eq!(browser.value(&heads).await, 2, "the heading of task {index} and of its step");
    }
    let problem = "document.querySelector('#task-3 details .problem').textContent";
    assert_eq!(browser.value(problem).await, "it is broken");
    let order = "[...document.querySelectorAll('#tasks > section')].map((task) => task.id)";
    let wanted: Vec<_> = (0..TASKS).map(|index| format!("task-{index}")).collect();
    assert_eq!(browser.value(order).await, json!(wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_beginning_is_left_out_begins_with_a_whole_line() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&crate::support::workflow(&[("test", &[])])).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    let mut offset = 0;
    for part in 0..10 {
        let line = |n: usize| format!("line {:06} {}\n", part * 500 + n, "ä".repeat(30));
        let text: String = (0..500).map(line).collect();
        append(&agent, offset, &text).await;
        offset += text.len();
    }
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    let text = "document.querySelector('pre[data-log]').textContent";
    browser.wait(&format!("{text}.includes('line 004999')")).await;
    let lines = format!("{text}.split('\\n').slice(1, -1)");
    let are_whole = format!("{lines}.every((line) => /^line [0-9]{{6}} ä{{30}}$/.test(line))");
    assert_eq!(browser.value(&are_whole).await, true, "{}", browser.value(&lines).await);
    let cut = browser.value("document.querySelector('a.cut').textContent").await;
    assert!(cut.as_str().unwrap().contains(&format!("all {offset} bytes")), "{cut}");
}
