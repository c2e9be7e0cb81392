//! A control plane that is killed at any moment keeps everything that it acknowledged, and one
//! that was asked to (`--durable`) does so when the power goes.

use std::time::Duration;

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::disk::Disk;
use crate::support::scripted_runner::{Acknowledged, ScriptedRunner};
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run};

/// Kills after which every kind of call has to have been answered at least once.
const MAX_ROUNDS: u64 = 60;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    // Nobody says that the task is in hand.
    let mut server = Server::start_with(&["--lease", "1h"]);
    let runner = ScriptedRunner::claim(&server);
    let mut acknowledged = Acknowledged::default();
    // Each round ends at a different moment; the writer is busy all the time. More of them where the
    // machine is too slow for one call of each kind in eight.
    for round in 0.. {
        let is_something_of_each = acknowledged.batches > 0 && !acknowledged.pipelines.is_empty();
        if round >= 8 && is_something_of_each {
            break;
        }
        assert!(round < MAX_ROUNDS, "{acknowledged:?}");
        let moment = Duration::from_millis(20 + 17 * round);
        let kill = || {
            std::thread::sleep(moment);
            server.kill();
        };
        acknowledged = runner.write_until(kill, acknowledged);
        server.start_again();
        acknowledged.bytes = runner.check(&server, &acknowledged).unwrap();
    }
    let Acknowledged { bytes, events, artifacts, batches, pipelines } = &acknowledged;
    assert!(*bytes > 0 && *events > 0 && *artifacts > 0 && *batches > 0 && !pipelines.is_empty());
}

/// Lets a server work on a disk whose power goes, twice. Answers what is lacking after that.
fn lose_power(disk: &mut Disk, options: &[&str]) -> Result<(), String> {
    let mut server = Server::start_in(&disk.path().join("data"), options);
    let token = server.admin.token().to_owned();
    let runner = ScriptedRunner::claim(&server);
    let mut acknowledged = Acknowledged::default();
    for _ in 0..2 {
        let kill = || {
            std::thread::sleep(Duration::from_millis(400));
            server.kill();
        };
        acknowledged = runner.write_until(kill, acknowledged);
        assert!(acknowledged.artifacts > 0, "nothing was acknowledged");
        disk.lose_power();
        server.start_again();
        if server.admin_token_on_disk() != token {
            return Err("the admin token".to_owned());
        }
        acknowledged.bytes = runner.check(&server, &acknowledged)?;
    }
    Ok(())
}

#[test]
fn with_durable_a_loss_of_power_takes_nothing_that_was_acknowledged() {
    let Some(mut disk) = Disk::create() else { return };
    lose_power(&mut disk, &["--durable"]).unwrap();
}

#[test]
fn without_durable_a_loss_of_power_takes_the_last_moments_and_the_server_starts_all_the_same() {
    let Some(mut disk) = Disk::create() else { return };
    // Also shows that the test above would notice.
    assert!(lose_power(&mut disk, &[]).is_err(), "nothing was lost: was the power cut at all?");
}

#[test]
fn a_queue_survives_a_kill_and_is_worked_off_after_it() {
    let mut server = Server::start();
    let token = server.admin.class_token(CLASS);
    let pipelines: Vec<_> = (0..5)
        .map(|number| server.admin.submit(&config(&[&run(&format!("echo {number}"))])))
        .collect();
    server.kill();
    server.start_again();
    let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    for (number, pipeline) in pipelines.iter().enumerate() {
        server.admin.wait(pipeline);
        let job = server.admin.only_job(pipeline);
        assert_outcome(&server.admin, &job, Outcome::Success);
        assert_eq!(server.admin.step_output(&job, 1), format!("{number}\n").into_bytes());
    }
}
