//! Messages about a configuration that is wrong: each file of `bad/` beside its message.

use std::path::Path;

use russet_pipeline::{Options, compile};

fn options(name: &str) -> Options {
    Options { file: format!("{name}.yml"), ..Options::default() }
}

#[test]
fn every_bad_configuration_has_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(files.len() >= 25, "only {} files", files.len());
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let errors = compile(&text, &options(name)).expect_err(name);
        insta::assert_snapshot!(name, errors.to_string());
    }
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let text = include_str!("bad/duplicate_keys.yml");
    let errors = compile(text, &options("duplicate_keys")).unwrap_err();
    let diagnostic = &errors.0[0];
    let colored = diagnostic.render(true);
    insta::assert_snapshot!("with_colour", colored.replace('\u{1b}', "␛"));
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, diagnostic.to_string());
}

#[test]
fn warnings_are_given_with_the_jobs() {
    let text = "version: 2.1
spare: 1
jobs:
  build:
    macos: {xcode: 16.4.0}
    resource_class: acme/mini
    steps: [checkout]
";
    let compiled = compile(text, &options("config")).unwrap();
    let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("warnings", warnings.join("\n\n"));
}

#[test]
fn a_key_of_a_cache_that_no_step_could_use_is_warned_of() {
    let text = "version: 2.1
jobs:
  build:
    machine: true
    resource_class: acme/mini
    steps:
      - restore_cache: {keys: ['a-{{ .Brunch }}', 'b-{{ arch', 'c-{{ checksum x }}', '{{ .Branch }}']}
";
    let compiled = compile(text, &options("config")).unwrap();
    let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("keys_of_caches", warnings.join("\n\n"));
}

#[test]
fn a_hundred_errors_are_enough() {
    let keys: String = (0..500).map(|n| format!("    unknown{n}: x\n")).collect();
    let text =
        format!("version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [checkout]\n{keys}");
    let errors = compile(&text, &options("config")).unwrap_err();
    assert_eq!(errors.0.len(), 100);
    assert_eq!(errors.0[99].note.as_deref(), Some("400 more errors are not shown"));
}
