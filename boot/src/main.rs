//! `russet-boot`: what launchd and systemd start.
//!
//! It runs as root and is never updated by itself, so it is small enough to be reviewed at a
//! sitting: this folder, and four files that it shares with the agent and that need nothing but the
//! standard library and libc. It starts `russet agent run`, waits, and decides by the exit code
//! what comes next ([`decide`]). A version that was just installed is in probation ([`trial`]): if
//! it does not prove healthy in time, its bundle is exchanged for the previous one ([`bundle`]).
//! [`memory`] remembers versions and makes every decision about them, [`service`] does what it says.
//!
//! It takes no argument and reads no variable: it serves the installation that it lies in,
//! `ROOT/opt/russet/russet-boot`. It reads no configuration, opens no socket, and looks into no
//! directory that somebody other than root can write to.

mod bundle;
mod child;
mod decide;
mod ended;
mod error;
#[allow(unreachable_pub, clippy::allow_attributes, reason = "the agent names it in its API")]
#[path = "../../agent/platform/src/exchange.rs"]
mod exchange;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../protocol/src/boot_files.rs"]
mod files;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../agent/platform/src/layout.rs"]
mod layout;
mod log;
mod memory;
mod service;
mod signals;
mod state;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../protocol/src/exit_reason.rs"]
mod table;
mod trial;
mod trust;

use std::process::ExitCode;

use service::Boot;

/// Code of an installation that cannot be used: launchd and systemd try again, with a pause.
const UNUSABLE: u8 = 1;

fn main() -> ExitCode {
    match Boot::new() {
        Ok(mut boot) => {
            boot.run();
            ExitCode::SUCCESS
        }
        Err(error) => {
            signals::log_line(&error.to_string());
            ExitCode::from(UNUSABLE)
        }
    }
}
