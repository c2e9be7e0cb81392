//! The relay of the launch agent, in a network namespace: the task agent and everything that it
//! starts have no network at all, and the one way to the control plane is the slot's socket.
//!
//! `unshare --net` stands before the task agent as a command prefix. It is in util-linux, which every
//! distribution has, and a namespace goes with its last process, so nothing has to be removed.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, AgentOptions, Lacks, Server, can_be_root, config, has_tool, run, skip,
};

/// Returns true if the test can make a network namespace; otherwise it is skipped.
#[track_caller]
fn can_run() -> bool {
    if !can_be_root("to make network namespaces") || !has_tool("unshare") {
        return false;
    }
    let unshared = Command::new("unshare").args(["--net", "--", "true"]).output().unwrap();
    if !unshared.status.success() {
        skip(Lacks::Machine, "network namespaces are forbidden here");
    }
    unshared.status.success()
}

fn options(user: &SlotUser) -> AgentOptions {
    let mut options = user.options();
    options.runner.push("command_prefix: [unshare, --net, --]".to_owned());
    options.runner.push("relay: always".to_owned());
    options
}

/// Shell text that fails if there is a way to the control plane but the relay.
fn proves_no_route(server: &Server) -> String {
    let address = server.url().strip_prefix("http://").unwrap().replace(':', "/");
    format!(
        "if (exec 3<>/dev/tcp/{address}) 2>/dev/null; then echo there is a route; exit 1; fi\n\
         if (exec 3<>/dev/udp/192.0.2.1/9) 2>/dev/null; then echo there is a route; exit 1; fi"
    )
}

#[test]
fn a_task_without_a_network_runs_through_the_relay() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = Agent::start_with(&server, &options(&user));
    let script = format!(
        "{}\n\
         stat -c '%F %a %U' {relay}\n\
         stat -c '%a %U' {slot}\n\
         head -c 3000000 /dev/zero | tr '\\0' x\n\
         echo end",
        proves_no_route(&server),
        relay = agent.state().join("slots/1/relay.sock").display(),
        slot = agent.state().join("slots/1").display(),
    );
    let job = server.admin.run(&config(&[&run(&script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    assert!(
        output.starts_with(&format!("socket 600 {}\n711 root\n", user.name())),
        "{output:.200}"
    );
    assert!(output.len() > 3_000_000 && output.ends_with("end\n"));
}

#[test]
fn a_task_without_a_network_goes_on_when_the_launch_agent_is_killed_and_comes_back() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let mut agent = Agent::start_with(&server, &options(&user));
    let gate = format!("/var/tmp/{}-gate", user.name());
    let script = format!(
        "{}\necho before\nwhile [ ! -e {gate} ]; do sleep 0.02; done\necho after",
        proves_no_route(&server)
    );
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    // While nobody relays, the step ends and its output waits.
    std::fs::write(&gate, "").unwrap();
    agent.start_again();
    server.admin.wait(&pipeline);
    std::fs::remove_file(&gate).ok();
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(server.admin.step_output(&job, 1), b"before\nafter\n");
}

#[test]
fn nobody_but_the_slots_user_gets_into_the_relay() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = Agent::start_with(&server, &options(&user));
    // The agent listens when it has run something.
    let job = server.admin.run(&config(&[&run("true")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let socket = agent.state().join("slots/1/relay.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().uid(), user.uid());
    let tries = |uid: &str| {
        let program = "use IO::Socket::UNIX; \
                       my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die \"$!\\n\"; \
                       $s->print(\"GET / HTTP/1.0\\r\\n\\r\\n\"); $s->flush; \
                       my $n = sysread($s, my $b, 64); print $n;";
        Command::new("setpriv")
            .args([&format!("--reuid={uid}"), "--clear-groups", "--", "perl", "-e", program])
            .arg(&socket)
            .output()
            .unwrap()
    };
    let stranger = tries("58999");
    assert!(!stranger.status.success(), "{stranger:?}");
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("Permission denied"));
    let own = tries(&user.uid().to_string());
    assert!(own.status.success() && !own.stdout.is_empty(), "{own:?}");
}
