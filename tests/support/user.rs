//! System users for slots.

use std::process::Command;

use super::AgentOptions;

/// System users of the test's own with a common prefix, removed at the end.
pub struct SlotUser {
    prefix: String,
    count: u32,
}

impl SlotUser {
    /// Makes one, for the first slot.
    pub fn create() -> Self {
        Self::create_several(1)
    }

    /// Makes so many, for as many slots.
    pub fn create_several(count: u32) -> Self {
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).unwrap();
        let prefix = format!("_rt{:08x}", u32::from_ne_bytes(random));
        let users = Self { prefix, count };
        for name in users.names() {
            let status = Command::new("useradd")
                .args(["--system", "--user-group", "--no-create-home", "--shell", "/bin/bash"])
                .arg(name)
                .status()
                .unwrap();
            assert!(status.success(), "useradd failed");
        }
        users
    }

    fn names(&self) -> Vec<String> {
        (1..=self.count).map(|number| format!("{}{number}", self.prefix)).collect()
    }

    /// Name of the first.
    pub fn name(&self) -> String {
        self.names().remove(0)
    }

    /// Id of the first.
    pub fn uid(&self) -> u32 {
        self.uids().remove(0)
    }

    /// Ids of all.
    pub fn uids(&self) -> Vec<u32> {
        let uid_of =
            |name: &String| nix::unistd::User::from_name(name).unwrap().unwrap().uid.as_raw();
        self.names().iter().map(uid_of).collect()
    }

    /// An agent whose first slots have these users.
    pub fn options(&self) -> AgentOptions {
        AgentOptions {
            runner: vec![format!("user_prefix: {}", self.prefix)],
            ..AgentOptions::default()
        }
    }
}

impl Drop for SlotUser {
    fn drop(&mut self) {
        for name in self.names() {
            Command::new("userdel").arg(&name).status().ok();
            let quiet = std::process::Stdio::null();
            Command::new("groupdel").arg(&name).stderr(quiet).status().ok();
        }
    }
}
