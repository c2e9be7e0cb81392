//! Configurations of real projects, where a collection of them lies beside the repository: each
//! compiles, or is refused with a place, and never panics.

use std::path::Path;

use russet_pipeline::{Options, compile};

#[test]
fn configurations_of_real_projects_compile_or_are_refused_with_a_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/configs");
    // Not part of the repository: the files are other people's.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let paths = entries.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "yml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for on_host in [false, true] {
            let options = Options { file: file.clone(), on_host, ..Options::default() };
            let Err(errors) = compile(&text, &options) else { continue };
            assert!(!errors.0.is_empty(), "{file}");
            for error in &errors.0 {
                let line = text.lines().nth(error.line - 1);
                assert!(line.is_some(), "{file}: {error}");
                assert!(error.to_string().contains(&format!("{file}:{}:", error.line)));
                // Every one of these files was accepted by CircleCI, so what we refuse is what we
                // do not have.
                let known = ["not supported", "machine of CircleCI's own"];
                assert!(known.iter().any(|text| error.message.contains(text)), "{error}");
            }
        }
    }
}
