//! A tar archive is unpacked: nothing panics, and nothing outside of its base is touched.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "the whole module is compiled for a part of it")]
#[path = "../../agent/task-agent/src/archive/mod.rs"]
mod archive;

// The archive's module calls one function of the agents' platform crate: this crate stands in for
// it with that function alone, so that nothing else is built with instrumentation.
extern crate self as russet_platform;
#[cfg_attr(target_os = "linux", path = "../../agent/platform/src/linux/clone.rs")]
#[cfg_attr(target_os = "macos", path = "../../agent/platform/src/macos/clone.rs")]
mod clone;
pub(crate) use clone::clone_file;

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir().expect("a directory");
    let (base, canary) = (dir.path().join("base"), dir.path().join("canary"));
    std::fs::create_dir(&base).expect("a base");
    std::fs::write(&canary, "here").expect("a canary");
    let mut input = data;
    let _refused = archive::unpack(&mut input, vec![(b"work".to_vec(), base)]);
    assert_eq!(std::fs::read(&canary).expect("the canary"), b"here");
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 2);
});
