//! Ports of the machine, `runner.ssh.ports`; and that there are none, nor threads, without SSH.

use std::collections::BTreeSet;
use std::net::TcpListener;

use russet_protocol::ssh::SshPhase;
use serde_json::json;

use super::terminal::{leave_after_return, log_in};
use super::{Farm, end_hold, stay, text};
use crate::support::{config, has_tool, run, wait_for};

/// Number of ports that an agent may open.
const PORTS: u16 = 8;

/// Returns a range whose first port nobody has. Others of it may be taken: the agent finds one.
fn free_range() -> (u16, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let first = free.min(u16::MAX - PORTS);
    (first, first + PORTS - 1)
}

/// A farm whose agent opens ports, which are advertised at this host.
fn with_ports(advertised: &str) -> Farm {
    let (first, last) = free_range();
    let ssh = format!(
        "ssh: {{enabled: true, bind: 127.0.0.1, ports: {first}-{last}, advertise_addr: '{advertised}'}}"
    );
    Farm::start(json!({"description": "", "allow_ssh": true}), &[&ssh])
}

/// TCP ports at which a process listens, as the kernel tells.
fn listening_ports(pid: i32) -> BTreeSet<u16> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let own: BTreeSet<String> = fds
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")));
    let lines: Vec<String> = tables
        .into_iter()
        .flatten()
        .flat_map(|table| table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    // Columns of proc(5): local address, remote address, state (0A: it listens), …, inode.
    let listens = lines.iter().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (*state == "0A" && own.contains(*inode)).then_some(port)
    });
    listens.collect()
}

/// Names of a process's threads, each as often as there is one.
fn threads(pid: i32) -> Vec<String> {
    let all = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let mut names: Vec<String> =
        all.filter_map(|it| std::fs::read_to_string(it.path().join("comm")).ok()).collect();
    names.sort();
    names
}

#[test]
fn a_person_who_reaches_the_machine_goes_straight_there_and_stays_without_a_control_plane() {
    let mut farm = with_ports("127.0.0.1");
    let job = farm.rerun();
    let way = farm.wait_for_phase(&job, SshPhase::Waiting);
    let address = way.ready.unwrap().address.unwrap();
    let port: u16 = address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    let launch_agent = farm.agent.process().pid().as_raw();
    assert_eq!(listening_ports(launch_agent), BTreeSet::from([port]));
    let task_agent = farm.agent.task_agents()[0];
    assert!(listening_ports(task_agent).is_empty(), "no job owns a port");

    let gate = farm.dir.path().join("gate");
    let script = format!("echo in; while [ ! -e {} ]; do sleep 0.05; done; exit 6", gate.display());
    let mut person = stay(&farm, &job, &script);
    wait_for("a session", || text(&farm, "out").contains("in").then_some(()));
    farm.server.stop();
    std::fs::write(&gate, "").unwrap();
    let code = wait_for("the end of ssh", || (!person.is_running()).then(|| person.wait()));
    assert_eq!(code, Some(6), "{}", text(&farm, "err"));
    farm.server.start_again();
    // Where it is asked for, the way is the other one.
    let (id, key) = (job.id.to_string(), farm.key().display().to_string());
    let args =
        ["job", "ssh", "--tunnel", &id, "--", "-i", &key, "-o", "IdentitiesOnly=yes", "exit 8"];
    let (code, _, err) = farm.cli().call(&args);
    assert_eq!(code, 8, "{err}");
    end_hold(&farm, &job);
    wait_for("the end of the port", || listening_ports(launch_agent).is_empty().then_some(()));
    let from: Vec<String> = farm.audit().into_iter().map(|event| event.address).collect();
    assert!(from.iter().all(|from| from.contains("127.0.0.1")), "{from:?}");
}

#[test]
fn a_session_at_the_port_is_dialled_again_when_the_launch_agent_is_restarted_and_not_when_it_ends()
{
    if !has_tool("tmux") {
        return;
    }
    let mut farm = with_ports("127.0.0.1");
    let (job, terminal) = log_in(&farm);
    farm.agent.kill();
    terminal.wait_for("Dialling the same task again");
    farm.agent.start_again();
    leave_after_return(&farm, &terminal, "note.txt");

    let mut person = stay(&farm, &job, "echo in; sleep 600");
    wait_for("a session", || text(&farm, "out").contains("in").then_some(()));
    end_hold(&farm, &job);
    wait_for("the end of ssh", || (!person.is_running()).then(|| person.wait()));
    let told = text(&farm, "err");
    assert!(told.contains("somebody asked for it"), "{told}");
    assert!(!told.contains("Dialling"), "{told}");
}

#[test]
fn a_person_who_does_not_reach_the_machine_is_told_and_goes_through_the_control_plane() {
    // Nothing listens at port 1.
    let farm = with_ports("127.0.0.1:1");
    let job = farm.rerun();
    let (code, out, err) = farm.ssh(&job, &["cat note.txt; exit 7"]);
    assert_eq!((code, out.as_str()), (7, "built\n"), "{err}");
    assert!(err.contains("127.0.0.1:1 cannot be reached from here"), "{err}");
    end_hold(&farm, &job);
}

#[test]
fn a_task_without_ssh_has_no_port_and_the_threads_of_one_on_a_machine_without_ssh() {
    let farms = [with_ports("127.0.0.1"), Farm::start(json!({"description": ""}), &[])];
    let gates = farms.each_ref().map(|farm| farm.dir.path().join("gate"));
    let pipelines: Vec<_> = farms
        .iter()
        .zip(&gates)
        .map(|(farm, gate)| {
            let script = format!("echo in\nwhile [ ! -e {} ]; do sleep 0.05; done", gate.display());
            let pipeline = farm.server.admin.submit(&config(&[&run(&script)]));
            farm.server.admin.wait_for_output(&pipeline, "in");
            pipeline
        })
        .collect();
    let [mut with, mut without] = farms;
    let pids = |farm: &mut Farm| [farm.agent.process().pid().as_raw(), farm.agent.task_agents()[0]];
    let (on, off) = (pids(&mut with), pids(&mut without));
    for pid in on {
        assert_eq!(listening_ports(pid), BTreeSet::new(), "{pid}");
    }
    // Threads that read files end a while after they were needed.
    for (on, off) in on.into_iter().zip(off) {
        wait_for("the same threads", || (threads(on) == threads(off)).then_some(()));
    }
    for ((farm, gate), pipeline) in [&with, &without].into_iter().zip(&gates).zip(&pipelines) {
        std::fs::write(gate, "").unwrap();
        farm.server.admin.wait(pipeline);
    }
    // With SSH the same look finds a port.
    let job = with.rerun();
    with.wait_for_phase(&job, SshPhase::Waiting);
    assert_eq!(listening_ports(on[0]).len(), 1);
    end_hold(&with, &job);
}
