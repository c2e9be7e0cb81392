//! The templates of a cache key are filled in: nothing panics, and a key without one is itself.
#![no_main]

use std::collections::BTreeMap;
use std::io::ErrorKind;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the whole module is compiled for a part of it")]
#[path = "../../agent/task-agent/src/task/storage/key.rs"]
mod key;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = BTreeMap::from([("NAME".to_owned(), "{{ .Branch }}".to_owned())]);
    let facts = key::Facts {
        branch: "main",
        revision: "abc",
        number: 1,
        epoch: 1,
        environment: &environment,
    };
    let rendered = key::render_template(text, facts, |file| {
        if file.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok("sum".to_owned()) }
    });
    if !text.contains("{{") {
        assert_eq!(rendered.ok().as_deref(), Some(text));
    }
});
