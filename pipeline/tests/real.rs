//! Configurations of real projects, where a collection of them lies beside the repository: each
//! is accepted, or refused for a true reason.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};

use russet_pipeline::{Options, compile, process};

/// The configurations by name. Not part of the repository: the files are other people's.
fn configurations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/configs");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn options(file: &str) -> Options {
    Options { file: file.to_owned(), check: true, ..Options::default() }
}

#[test]
fn configurations_of_real_projects_are_accepted_or_lack_an_orb() {
    for (file, text) in configurations() {
        let Err(errors) = compile(&text, &options(&file)) else { continue };
        for error in &errors.0 {
            assert!(text.lines().nth(error.line - 1).is_some(), "{file}: {error}");
            assert!(error.to_string().contains(&format!("{file}:{}:", error.line)));
            // Some name an orb that is only put in when the configuration is published.
            let lacks = ["the orb `", "there is no orb `"];
            let is_lacking = lacks.iter().any(|text| error.message.starts_with(text));
            assert!(is_lacking, "{error}");
        }
    }
}

#[test]
fn what_would_run_is_refused_by_name() {
    for (file, text) in configurations() {
        for on_host in [false, true] {
            let options = Options { on_host, check: false, ..options(&file) };
            let Err(errors) = compile(&text, &options) else { continue };
            for error in &errors.0 {
                let known = [
                    "not supported",
                    "machine of CircleCI's own",
                    "the orb `",
                    "there is no orb `",
                    "no workflow runs",
                ];
                assert!(known.iter().any(|text| error.message.contains(text)), "{error}");
            }
        }
    }
}

#[test]
fn what_is_written_out_means_itself() {
    for (file, text) in configurations() {
        let Ok(once) = process(&text, &options(&file)) else { continue };
        let twice =
            process(&once, &options(&file)).unwrap_or_else(|e| panic!("{file}: {e}\n{once}"));
        assert_eq!(once, twice, "{file}");
    }
}
