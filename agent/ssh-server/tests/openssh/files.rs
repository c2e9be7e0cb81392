//! Files: sftp, scp in both of its protocols, and rsync.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use russet_test_skip::has_tool;

use super::support::{Serving, noise, serve, succeed, text};

fn sftp(serving: &Serving, batch: &str) -> Output {
    let file = serving.path("batch");
    std::fs::write(&file, batch).unwrap();
    let mut command = serving.client("sftp", "key");
    command.arg("-b").arg(&file).arg("127.0.0.1");
    command.current_dir(serving.dir.path()).output().unwrap()
}

/// A tree with what gets lost easily: modes, times, links, an empty directory, names.
fn make_tree(at: &Path) {
    std::fs::create_dir_all(at.join("sub/empty")).unwrap();
    std::fs::write(at.join("a file with spaces é"), noise(200_000)).unwrap();
    std::fs::write(at.join("sub/run.sh"), "#!/bin/sh\n").unwrap();
    let run = at.join("sub/run.sh");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o750)).unwrap();
    // Whole seconds, as the protocols have them.
    let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for path in [&run, &at.join("a file with spaces é")] {
        std::fs::File::open(path).unwrap().set_modified(when).unwrap();
    }
    std::os::unix::fs::symlink("run.sh", at.join("sub/link")).unwrap();
}

fn listing(at: &Path) -> String {
    let output = Command::new("find")
        .args([".", "-type", "f", "-printf", "%p %m %s %T@\\n", "-o", "-type", "l"])
        .args(["-printf", "%p -> %l\\n", "-o", "-printf", "%p %m\\n"])
        .current_dir(at)
        .output()
        .unwrap();
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn sftp_does_all_that_its_client_can_ask_for() {
    let serving = serve();
    std::fs::write(serving.path("up"), noise(1_000_000)).unwrap();
    let output = succeed(&sftp(
        &serving,
        "pwd\nput up there\nmkdir dir\nput up dir/second\nrename there dir/first\nls -l dir\n\
         chmod 600 dir/first\nln -s first dir/link\nln dir/first dir/hard\nget dir/first down\n\
         df\nget dir/link linked\nrm dir/hard\nrm dir/link\nrm dir/second\n\
         ls -1 dir\n-rmdir dir\nput up dir/first\nrm dir/first\nrmdir dir\ncd /\npwd\n",
    ));
    let work = serving.path("work").canonicalize().unwrap();
    assert!(output.contains(&format!("Remote working directory: {}", work.display())), "{output}");
    assert!(output.contains("Remote working directory: /\n"), "{output}");
    assert!(output.contains("-rw-r--r--") && output.contains("1000000"), "{output}");
    let bytes = noise(1_000_000);
    assert!(std::fs::read(serving.path("down")).unwrap() == bytes);
    assert!(std::fs::read(serving.path("linked")).unwrap() == bytes);
    let left = std::fs::read_dir(&work).unwrap().count();
    assert_eq!(left, 0, "{output}");
}

#[test]
fn sftp_says_what_is_wrong() {
    let serving = serve();
    let fails = |batch: &str, why: &str| {
        let output = sftp(&serving, batch);
        assert!(!output.status.success(), "{batch}");
        let said = text(&output.stderr);
        assert!(said.contains(why), "{batch}: {said}");
    };
    fails("get none\n", "not found");
    fails("put batch /proc/none/x\n", "No such file");
    fails("mkdir /\n", "Failure");
    fails("rmdir .\n", "");
    let broken = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "printf '\\377\\377\\377\\377' | {} -s 127.0.0.1 sftp",
            serving
                .ssh()
                .get_args()
                .map(|word| format!("'{}'", word.to_string_lossy()))
                .collect::<Vec<_>>()
                .join(" ")
                .replacen("'60'", "timeout '60'", 1)
        ))
        .output()
        .unwrap();
    assert!(broken.stdout.is_empty(), "{broken:?}");
}

#[test]
fn scp_copies_trees_by_either_protocol() {
    let serving = serve();
    make_tree(&serving.path("tree"));
    // `scp` follows links.
    std::fs::remove_file(serving.path("tree/sub/link")).unwrap();
    for protocol in ["-s", "-O"] {
        let name = format!("work/copy{protocol}");
        let copy = serving.path(&name);
        let mut up = serving.client("scp", "key");
        up.args([protocol, "-r", "-p"]).arg(serving.path("tree"));
        let output = up.arg(format!("127.0.0.1:copy{protocol}")).output().unwrap();
        succeed(&output);
        assert_eq!(listing(&copy), listing(&serving.path("tree")), "{protocol}");
        let back = serving.path(&format!("back{protocol}"));
        let mut down = serving.client("scp", "key");
        down.args([protocol, "-r", "-p", &format!("127.0.0.1:copy{protocol}")]);
        succeed(&down.arg(&back).output().unwrap());
        assert_eq!(listing(&back), listing(&serving.path("tree")), "{protocol}");
    }
}

#[test]
fn rsync_copies_trees_both_ways() {
    if !has_tool("rsync") {
        return;
    }
    let serving = serve();
    make_tree(&serving.path("tree"));
    let ssh = serving.ssh();
    let words = ssh.get_args().map(|word| format!("'{}'", word.to_string_lossy()));
    let remote = format!("timeout {}", words.collect::<Vec<_>>().join(" "));
    let rsync = |from: &str, to: &str| {
        let mut command = Command::new("rsync");
        command.args(["-a", "--delete", "-e", &remote, from, to]).stdin(Stdio::null());
        succeed(&command.output().unwrap())
    };
    let tree = format!("{}/", serving.path("tree").display());
    rsync(&tree, "127.0.0.1:copy/");
    assert_eq!(listing(&serving.path("work/copy")), listing(&serving.path("tree")));
    std::fs::write(serving.path("tree/more"), noise(5_000_000)).unwrap();
    rsync(&tree, "127.0.0.1:copy/");
    let back = format!("{}/", serving.path("back").display());
    rsync("127.0.0.1:copy/", &back);
    assert_eq!(listing(&serving.path("back")), listing(&serving.path("tree")));
}

#[test]
fn a_hundred_megabytes_go_through_sftp() {
    let serving = serve();
    let bytes = noise(100_000_000);
    std::fs::write(serving.path("up"), &bytes).unwrap();
    succeed(&sftp(&serving, "put up there\nget there down\n"));
    assert!(std::fs::read(serving.path("work/there")).unwrap() == bytes);
    assert!(std::fs::read(serving.path("down")).unwrap() == bytes);
}
