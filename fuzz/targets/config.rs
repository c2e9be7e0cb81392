//! A configuration is compiled and written out: nothing panics, every diagnostic has a place and
//! can be printed, and what is written out means itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use russet_pipeline::{Options, compile, orbs, process};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (check, is_continuation) in [(true, false), (false, true)] {
        let options = Options {
            file: "c.yml".to_owned(),
            on_host: is_continuation,
            branch: is_continuation.then(|| "main".to_owned()),
            check,
            is_continuation,
            ..Options::default()
        };
        let diagnostics = match compile(text, &options) {
            Ok(compiled) => compiled.warnings,
            Err(errors) => {
                assert!(!errors.0.is_empty());
                errors.0
            }
        };
        for diagnostic in diagnostics {
            assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
            assert!(!diagnostic.render(true).is_empty());
        }
    }
    let options = Options { file: "c.yml".to_owned(), ..Options::default() };
    let _listed = orbs(text, &options);
    if let Ok(once) = process(text, &options) {
        match process(&once, &options) {
            Ok(twice) => assert_eq!(once, twice),
            Err(errors) => panic!("what was written out is refused: {errors}\n{once}"),
        }
    }
});
