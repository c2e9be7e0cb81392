//! A tar archive is unpacked: nothing panics, and nothing outside of its base is touched.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "the whole module is compiled for a part of it")]
#[path = "../../agent/src/archive/mod.rs"]
mod archive;

// What that clones files with, under the name that it has in the agent.
#[cfg_attr(target_os = "linux", path = "../../agent/src/platform/linux/clone.rs")]
#[cfg_attr(target_os = "macos", path = "../../agent/src/platform/macos/clone.rs")]
mod clone;

mod platform {
    pub(crate) use super::clone::clone_file;
}

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
