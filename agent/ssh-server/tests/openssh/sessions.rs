//! Commands without a terminal.

use std::fs::File;
use std::process::Stdio;

use super::support::{noise, serve, succeed, text, wait_until};

/// Bytes of the transfers that have to arrive whole.
const LARGE: usize = 100_000_000;

#[test]
fn a_command_has_the_jobs_environment_directory_and_session() {
    let serving = serve();
    let output = succeed(
        &serving
            .run("pwd; echo $JOB $SHOWN $(printenv TERM || echo none); ps -o sid= -p $$; echo $$"),
    );
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    let work = serving.path("work").canonicalize().unwrap();
    assert_eq!(lines[0], work.to_str().unwrap());
    assert_eq!(lines[1], "build none none");
    assert_eq!(lines[2], lines[3], "it leads a session of its own");
    wait_until("the report of its end", || serving.host.ended.lock().unwrap().len() == 1);
}

#[test]
fn exit_statuses_and_signals_are_told() {
    let serving = serve();
    for code in [0, 1, 7, 254] {
        assert_eq!(serving.run(&format!("exit {code}")).status.code(), Some(code));
    }
    let mut ssh = serving.ssh();
    let output = ssh.args(["-v", "127.0.0.1", "kill -TERM $$"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("rtype exit-signal"), "{said}");
    assert!(!output.status.success());
}

#[test]
fn output_and_errors_stay_apart_and_input_ends_where_it_ends() {
    let serving = serve();
    let output = serving.run("echo out; echo err >&2; wc -c");
    assert_eq!((succeed(&output).as_str(), text(&output.stderr).trim()), ("out\n0\n", "err"));
    // The command ends its input, and goes on.
    let file = serving.path("input");
    std::fs::write(&file, noise(3_000_000)).unwrap();
    let mut ssh = serving.ssh();
    ssh.args(["127.0.0.1", "head -c 10 | wc -c; exec <&-; echo done"]);
    let output = ssh.stdin(File::open(&file).unwrap()).output().unwrap();
    assert_eq!(succeed(&output), "10\ndone\n");
}

#[test]
fn only_a_language_can_be_set_by_the_client() {
    let serving = serve();
    let output = serving
        .ssh()
        .args([
            "-o",
            "SetEnv=LC_TIME=de_DE LD_PRELOAD=/x.so BASH_ENV=/x JOB=mine COLORTERM=truecolor",
        ])
        .args(["127.0.0.1", "echo $LC_TIME,${LD_PRELOAD-},${BASH_ENV-},$JOB,$COLORTERM"])
        .output()
        .unwrap();
    assert_eq!(succeed(&output), "de_DE,,,build,truecolor\n");
}

#[test]
fn a_hundred_megabytes_arrive_whole_both_ways_and_at_once() {
    let serving = serve();
    let (up, down, both) = (serving.path("up"), serving.path("down"), serving.path("both"));
    let bytes = noise(LARGE);
    std::fs::write(&up, &bytes).unwrap();

    let stored = serving.path("work/stored");
    let output = serving
        .ssh()
        .args(["127.0.0.1", "cat > stored"])
        .stdin(File::open(&up).unwrap())
        .output()
        .unwrap();
    succeed(&output);
    assert!(std::fs::read(&stored).unwrap() == bytes);

    let mut ssh = serving.ssh();
    ssh.args(["127.0.0.1", "cat stored"]).stdout(File::create(&down).unwrap());
    assert!(ssh.status().unwrap().success());
    assert!(std::fs::read(&down).unwrap() == bytes);

    // A program whose input and output wait for each other.
    let mut ssh = serving.ssh();
    ssh.args(["127.0.0.1", "cat"]).stdin(File::open(&up).unwrap());
    assert!(ssh.stdout(File::create(&both).unwrap()).status().unwrap().success());
    assert!(std::fs::read(&both).unwrap() == bytes);

    wait_until("the last report", || serving.host.ended.lock().unwrap().len() == 3);
    let ended = serving.host.ended.lock().unwrap();
    let large = LARGE as u64;
    assert!(ended[0].bytes_in > large && ended[0].bytes_out < large, "{:?}", ended[0]);
    assert!(ended[1].bytes_out > large && ended[1].bytes_in < large, "{:?}", ended[1]);
}

#[test]
fn a_program_that_reads_late_holds_the_client_back_and_loses_nothing() {
    let serving = serve();
    let up = serving.path("up");
    std::fs::write(&up, noise(30_000_000)).unwrap();
    let mut ssh = serving.ssh();
    ssh.args(["127.0.0.1", "until test -e ../go; do sleep 0.1; done; wc -c"]);
    ssh.stdin(File::open(&up).unwrap()).stdout(Stdio::piped());
    let child = ssh.spawn().unwrap();
    wait_until("the session", || *serving.server.connected().borrow() == 1);
    std::fs::write(serving.path("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(succeed(&output).trim(), "30000000");
}

#[test]
fn several_sessions_share_a_connection() {
    let serving = serve();
    let control = format!("ControlPath={}", serving.path("mux").display());
    let mut master = serving.ssh();
    master.args(["-o", "ControlMaster=yes", "-o", &control, "-N", "127.0.0.1"]);
    let mut master = master.spawn().unwrap();
    wait_until("the master", || serving.path("mux").exists());
    let children: Vec<_> = (0..8)
        .map(|number| {
            let mut ssh = serving.ssh();
            ssh.args(["-o", &control, "127.0.0.1", &format!("cat; echo {number}")]);
            ssh.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (number, child) in children.into_iter().enumerate() {
        assert_eq!(succeed(&child.wait_with_output().unwrap()), format!("{number}\n"));
    }
    assert_eq!(*serving.server.connected().borrow(), 1);
    let mut leave = serving.ssh();
    succeed(&leave.args(["-o", &control, "-O", "exit", "127.0.0.1"]).output().unwrap());
    master.wait().unwrap();
    wait_until("the end", || *serving.server.connected().borrow() == 0);
}
