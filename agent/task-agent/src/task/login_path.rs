//! The order of PATH in login shells.
//!
//! The default shell of macOS is a login shell, and `/etc/profile` runs path_helper(8) there, which
//! puts the system's directories first and the owner's behind them. On Linux some distributions'
//! `/etc/profile` sets another PATH altogether. So the file that `BASH_ENV` names, which bash reads
//! after the profiles, puts the step's own PATH back where the system's profile stands. What a
//! `.bash_profile` of `runner.home_skeleton` added around that stays, and one that sets a PATH of
//! its own keeps it.

use std::io;
use std::path::Path;

use russet_platform::os;

use super::environment::Variables;

/// Name of the variable with the PATH that a step is to have.
const STEP_PATH: &str = "CIRCLE_INTERNAL_STEP_PATH";

/// Name of the variable with what `/etc/profile` is known to make of that.
const LOGIN_PATH: &str = "CIRCLE_INTERNAL_LOGIN_PATH";

/// Lines that bash reads before a step's script. It is read with `set -e` in force, by every bash
/// that the step starts, and by the one of 2007 that macOS has.
///
/// If PATH does not hold what is known of the profile, a second login shell that finds no home says
/// what the system's profile makes of it.
pub(super) const BASH_ENV: &str = r#"if [ -n "${CIRCLE_INTERNAL_STEP_PATH-}" ] && [ "$PATH" != "$CIRCLE_INTERNAL_STEP_PATH" ] &&
  shopt -q login_shell; then
  __russet_login=${CIRCLE_INTERNAL_LOGIN_PATH-}
  case ":$PATH:" in
    *":$__russet_login:"*) ;;
    *) __russet_login=$(
      HOME=/nonexistent PATH=$CIRCLE_INTERNAL_STEP_PATH BASH_ENV='' \
        "$BASH" --login -c 'printf %s "$PATH"' </dev/null 2>/dev/null
    ) || __russet_login= ;;
  esac
  if [ -n "$__russet_login" ]; then
    case ":$PATH:" in
      *":$__russet_login:"*)
        PATH=${PATH%%"$__russet_login"*}$CIRCLE_INTERNAL_STEP_PATH${PATH#*"$__russet_login"} ;;
    esac
  fi
  unset __russet_login
fi
"#;

/// Profiles of other login shells, which read no `BASH_ENV`: sh, and zsh.
const PROFILES: [&str; 2] = [".profile", ".zprofile"];

/// The same for a profile in the home, which is read right after the system's. Where that made
/// something unknown of PATH, it is left.
const PROFILE: &str = r#"# The PATH of the step, where the system's profile stands.
if [ -n "${CIRCLE_INTERNAL_LOGIN_PATH-}" ]; then
  case ":$PATH:" in
    *":$CIRCLE_INTERNAL_LOGIN_PATH:"*)
      PATH=${PATH%%"$CIRCLE_INTERNAL_LOGIN_PATH"*}$CIRCLE_INTERNAL_STEP_PATH${PATH#*"$CIRCLE_INTERNAL_LOGIN_PATH"} ;;
  esac
fi
"#;

/// Puts the order of PATH before what the profiles in the home of a task do. They are the task's own
/// copies of those of the skeleton, or made here.
///
/// # Errors
///
/// One of them cannot be read or written.
pub(super) fn write_profiles(home: &Path) -> io::Result<()> {
    for name in PROFILES {
        let path = home.join(name);
        let own = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        std::fs::write(&path, [PROFILE.as_bytes(), &own].concat())?;
    }
    Ok(())
}

/// Lets the file of [`BASH_ENV`] know what PATH the step is to have, its own `PATH` counted.
pub(super) fn tell(variables: &mut Variables) {
    let Some(path) = variables.get("PATH").cloned() else { return };
    variables.insert(LOGIN_PATH.to_owned(), os::login_path(&path));
    variables.insert(STEP_PATH.to_owned(), path);
}

/// The line that puts `directory` before everything else, where it is not there yet.
pub(super) fn put_first(directory: &Path) -> String {
    let quoted = format!("'{}'", directory.to_string_lossy().replace('\'', r"'\''"));
    format!("case \"$PATH:\" in {quoted}:*) ;; *) PATH={quoted}:\"$PATH\" ;; esac\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{BASH_ENV, LOGIN_PATH, STEP_PATH};
    use russet_platform::macos_tools::path_helper;

    const STEP: &str = "/brew/bin:/usr/bin:/bin:/mine";

    /// Returns the PATH that a shell has, in a home with this `.bash_profile`.
    fn path_in(shell: &[&str], profile: &str, login_path: &str, own: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".bash_profile"), profile).unwrap();
        std::fs::write(home.path().join("env"), format!("{BASH_ENV}{own}")).unwrap();
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", "printf %s \"$PATH\""])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", STEP)
            .env(STEP_PATH, STEP)
            .env(LOGIN_PATH, login_path)
            .env("BASH_ENV", home.path().join("env"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    const LOGIN: [&str; 4] = ["/bin/bash", "--login", "-eo", "pipefail"];

    fn helped() -> String {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/paths"), "/usr/local/bin\n/usr/bin\n/bin\n").unwrap();
        path_helper::after_login(root.path(), STEP)
    }

    #[test]
    fn a_login_shell_has_the_order_of_every_other_shell() {
        let helped = helped();
        assert_eq!(helped, "/usr/local/bin:/usr/bin:/bin:/brew/bin:/mine");
        // The profile of the home stands for the system's, which a test cannot exchange.
        let as_macos = format!("PATH='{helped}'");
        assert_eq!(path_in(&LOGIN, &as_macos, &helped, ""), STEP);
        assert_eq!(path_in(&["/bin/bash"], &as_macos, &helped, ""), STEP);
    }

    #[test]
    fn what_a_profile_of_the_home_adds_or_sets_stays() {
        let helped = helped();
        let adds = format!("PATH='/before:{helped}:/behind'");
        assert_eq!(path_in(&LOGIN, &adds, &helped, ""), format!("/before:{STEP}:/behind"));
        assert_eq!(path_in(&LOGIN, "PATH=/only:/usr/bin", &helped, ""), "/only:/usr/bin");
    }

    /// PATH of a login `sh` whose system's profile made `login_path` of it.
    fn path_in_sh(profile: Option<&str>, login_path: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        if let Some(text) = profile {
            std::fs::write(home.path().join(".profile"), text).unwrap();
        }
        super::write_profiles(home.path()).unwrap();
        let own = std::fs::read_to_string(home.path().join(".profile")).unwrap();
        // The beginning of the profile stands for the system's, which a test cannot exchange.
        let text = format!("PATH='{login_path}'\n{own}");
        std::fs::write(home.path().join(".profile"), text).unwrap();
        let output = Command::new("/bin/sh")
            .args(["-l", "-e", "-c", "printf %s \"$PATH\""])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", STEP)
            .env(STEP_PATH, STEP)
            .env(LOGIN_PATH, helped())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_login_shell_that_is_no_bash_has_the_same_order() {
        assert_eq!(path_in_sh(None, &helped()), STEP);
        assert_eq!(path_in_sh(Some("PATH=\"/mine:$PATH\""), &helped()), format!("/mine:{STEP}"));
        assert_eq!(path_in_sh(Some("PATH=/only:/usr/bin"), &helped()), "/only:/usr/bin");
        // A script changed it before it started the shell: path_helper's order stays.
        assert_eq!(path_in_sh(None, "/usr/bin:/bin:/changed"), "/usr/bin:/bin:/changed");
    }

    #[test]
    fn what_steps_write_to_bash_env_comes_after() {
        let helped = helped();
        let as_macos = format!("PATH='{helped}'");
        let own = "export PATH=\"/added:$PATH\"\n";
        assert_eq!(path_in(&LOGIN, &as_macos, &helped, own), format!("/added:{STEP}"));
    }

    #[test]
    fn a_profile_of_the_system_that_sets_a_path_is_undone_where_it_is_not_known() {
        // Whatever this system's profile makes of it: nothing is known of it here.
        assert_eq!(path_in(&LOGIN, "", "/not/what/it/is", ""), STEP);
        assert_eq!(path_in(&LOGIN, "PATH=\"/x:$PATH\"", "/no", ""), format!("/x:{STEP}"));
    }

    #[test]
    fn a_directory_is_put_first_once() {
        let line = super::put_first(Path::new("/it's/here"));
        let twice = format!("{line}{line}");
        let path = path_in(&["/bin/bash"], "", STEP, &twice);
        assert_eq!(path, format!("/it's/here:{STEP}"));
    }
}
