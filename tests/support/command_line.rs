//! The command line of people, pointed at a control plane.

use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;

use super::{Server, russet};

/// `russet` in a directory, whose file `token` has the admin token.
pub struct CommandLine<'a> {
    server: &'a Server,
    dir: &'a Path,
}

impl<'a> CommandLine<'a> {
    /// Points the command line at a server.
    pub fn new(server: &'a Server, dir: &'a Path) -> Self {
        Self { server, dir }
    }

    /// Exit code, standard output and standard error.
    pub fn call(&self, args: &[&str]) -> (i32, String, String) {
        // A change whose answer is lost is not made again; who watches goes on.
        let calm = self.server.admin.calm();
        let is_change = !args.contains(&"watch");
        let _calm = is_change.then(|| calm.read().unwrap_or_else(PoisonError::into_inner));
        let output = Command::new(russet())
            .args(args)
            .current_dir(self.dir)
            .env("RUSSET_URL", self.server.url())
            .env("RUSSET_TOKEN_FILE", self.dir.join("token"))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Standard output of what must succeed.
    #[track_caller]
    pub fn succeed(&self, args: &[&str]) -> String {
        let (code, out, err) = self.call(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    }
}
