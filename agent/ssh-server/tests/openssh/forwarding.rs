//! Forwarding, which is off unless it is allowed by name.

use super::support::{serve, succeed, text};

#[test]
fn forwarding_is_refused() {
    let serving = serve();
    let port = serving.port;
    let said = |options: &[&str]| {
        let output = serving.ssh().args(options).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (is_done, _, errors) = said(&["-W", &format!("127.0.0.1:{port}"), "127.0.0.1"]);
    assert!(!is_done && errors.contains("administratively prohibited"), "{errors}");
    let remote = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "127.0.0.1", "true"];
    let (is_done, _, errors) = said(&remote);
    assert!(!is_done && errors.contains("remote port forwarding failed"), "{errors}");
    let (is_done, output, errors) = said(&["-A", "127.0.0.1", "echo agent=${SSH_AUTH_SOCK-}"]);
    assert!(is_done && output == "agent=\n", "{output}{errors}");
    let socket = serving.path("socket").display().to_string();
    let stream =
        ["-o", "ExitOnForwardFailure=yes", "-R", &format!("{socket}:1"), "127.0.0.1", "true"];
    let (is_done, _, errors) = said(&stream);
    assert!(!is_done, "{errors}");
    let mut ssh = serving.ssh();
    ssh.env("DISPLAY", ":9").args(["-v", "-X", "127.0.0.1", "echo display=${DISPLAY-}"]);
    let output = ssh.output().unwrap();
    assert_eq!(succeed(&output), "display=\n", "{}", text(&output.stderr));
}
