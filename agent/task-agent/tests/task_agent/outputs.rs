//! Output arrives as it was written, but for secrets.

use russet_protocol::outcome::Outcome;
use russet_protocol::secret::Secret;

use crate::task::{Task, scripts};

#[tokio::test]
async fn bytes_arrive_unchanged() {
    let task = Task::new(scripts(&[
        r"printf 'a\000b\377\376\r\n\n\033[31mred\033[0m\tend'",
        r"printf '\033[2J\033[H'",
        "head -c 10000000 /dev/zero | tr '\\0' x",
        "true",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    let held = task.plane.held.borrow();
    assert_eq!(held.output[&1], b"a\0b\xff\xfe\r\n\n\x1b[31mred\x1b[0m\tend");
    assert_eq!(held.output[&2], b"\x1b[2J\x1b[H");
    assert_eq!(held.output[&3].len(), 10_000_000);
    assert!(held.output[&3].iter().all(|byte| *byte == b'x'));
    assert!(!held.output.contains_key(&4));
}

#[tokio::test]
async fn a_million_lines_arrive_in_order() {
    let task = Task::new(scripts(&["seq 1 1000000"])).await;
    task.run_to(Outcome::Success).await;
    let mut wanted = String::new();
    for number in 1..=1_000_000 {
        wanted.push_str(&format!("{number}\n"));
    }
    assert!(task.plane.held.borrow().output[&1] == wanted.as_bytes());
}

#[tokio::test]
async fn a_secret_in_two_writes_never_leaves_the_task_agent() {
    let mut task = Task::new(scripts(&["printf 'key: hunter'; sleep 0.2; printf '2secret\\n'; \
                                        printf 'prompt: hunt'"]))
    .await;
    task.config.masks = vec![Secret::new("hunter2secret")];
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "key: ****\nprompt: hunt");
    let spooled = std::fs::read(task.assignment.dirs.spool.join("1.log")).unwrap();
    assert_eq!(spooled, b"key: ****\nprompt: hunt");
}

#[tokio::test]
async fn hundreds_of_steps_do_not_take_hundreds_of_descriptors() {
    let commands = vec!["echo x"; 200];
    let mut task = Task::new(scripts(&commands)).await;
    task.assignment.limits.open_files = Some(64);
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(200), "x\n");
}
