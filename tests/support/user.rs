//! A system user for a slot.

use std::process::Command;

use super::AgentOptions;

/// A system user of the test's own, the first of its prefix, removed at the end.
pub struct SlotUser {
    prefix: String,
}

impl SlotUser {
    /// Makes one.
    pub fn create() -> Self {
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).unwrap();
        let prefix = format!("_rt{:08x}", u32::from_ne_bytes(random));
        let user = Self { prefix };
        let status = Command::new("useradd")
            .args(["--system", "--user-group", "--no-create-home", "--shell", "/bin/bash"])
            .arg(user.name())
            .status()
            .unwrap();
        assert!(status.success(), "useradd failed");
        user
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("{}1", self.prefix)
    }

    /// Its id.
    pub fn uid(&self) -> u32 {
        nix::unistd::User::from_name(&self.name()).unwrap().unwrap().uid.as_raw()
    }

    /// An agent whose first slot has this user.
    pub fn options(&self) -> AgentOptions {
        AgentOptions {
            runner: vec![format!("user_prefix: {}", self.prefix)],
            ..AgentOptions::default()
        }
    }
}

impl Drop for SlotUser {
    fn drop(&mut self) {
        Command::new("userdel").arg(self.name()).status().ok();
        Command::new("groupdel").arg(self.name()).stderr(std::process::Stdio::null()).status().ok();
    }
}
