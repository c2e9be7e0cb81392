//! Options of a server that another program will give it: a service starts in another directory
//! than the one in which somebody typed them. Pure but for the current directory.

use std::path::Path;

use crate::error::{CliError, Result};

/// Options whose value is the path of a file or a directory.
const PATHS: [&str; 14] = [
    "--data-dir",
    "--database-file",
    "--kept-caches",
    "--log-file",
    "--mail-ca-file",
    "--mail-password-file",
    "--objects-ca",
    "--objects-credentials-file",
    "--oidc-client-secret-file",
    "--orb-registry-token-file",
    "--releases",
    "--secrets-key-file",
    "--tls-cert",
    "--tls-key",
];

/// Takes flags out of options. Returns for each whether it was there.
pub(super) fn take_flags<const N: usize>(options: &mut Vec<String>, flags: [&str; N]) -> [bool; N] {
    flags.map(|flag| {
        let before = options.len();
        options.retain(|option| option != flag);
        options.len() != before
    })
}

/// Takes an option with its value out of options.
pub(super) fn take_value(options: &mut Vec<String>, name: &str) -> Option<String> {
    let at = options.iter().position(|option| option == name)?;
    options.remove(at);
    (at < options.len()).then(|| options.remove(at))
}

/// Returns true where an option is given.
pub(super) fn has_option(options: &[String], name: &str) -> bool {
    let with_value = format!("{name}=");
    options.iter().any(|option| option == name || option.starts_with(&with_value))
}

/// Makes the paths among options absolute.
pub(super) fn absolute_options(options: Vec<String>) -> Result<Vec<String>> {
    let mut is_path = false;
    let make = |option: String| {
        if std::mem::take(&mut is_path) {
            return absolute(&option);
        }
        is_path = PATHS.contains(&option.as_str());
        match option.split_once('=') {
            Some((name, value)) if PATHS.contains(&name) => {
                Ok(format!("{name}={}", absolute(value)?))
            }
            _ => Ok(option),
        }
    };
    options.into_iter().map(make).collect()
}

fn absolute(path: &str) -> Result<String> {
    let path = std::path::absolute(Path::new(path))
        .map_err(|error| CliError::local("could not find the current directory", error))?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::{PATHS, absolute_options, has_option, take_flags};
    use crate::commands::server::ServerArgs;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn paths_are_absolute_and_the_rest_is_as_it_was() {
        let here = std::env::current_dir().unwrap();
        let options = absolute_options(words("--durable --tls-key=a/k --data-dir d --lease 9s"));
        let expected =
            format!("--durable --tls-key={0}/a/k --data-dir {0}/d --lease 9s", here.display());
        assert_eq!(options.unwrap().join(" "), expected);
        let mut options = words("--dry-run --durable");
        assert_eq!(take_flags(&mut options, ["--print", "--dry-run"]), [false, true]);
        assert!(has_option(&options, "--durable") && !has_option(&options, "--dry-run"));
    }

    #[test]
    fn every_option_with_a_path_is_known() {
        let command = ServerArgs::augment_args(clap::Command::new("server"));
        let mut paths: Vec<String> = command
            .get_arguments()
            .filter(|argument| {
                let names = argument.get_value_names().unwrap_or_default();
                names.iter().any(|name| matches!(name.as_str(), "FILE" | "DIR"))
            })
            .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
            .collect();
        paths.sort();
        assert_eq!(paths, PATHS);
    }
}
