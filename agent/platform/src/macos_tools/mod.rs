//! Apple's tools: the commands, the meaning of their answers, and the order in which they are
//! asked. Text in, text out, so compiled everywhere (`macos/` has what only compiles there): tests
//! on Linux cover it with recorded answers and with tools that fail; what only a Mac can show is in
//! `docs/verify-on-a-mac.md`.

pub mod accounts;
pub mod automatic_login;
pub mod automation_mode;
pub mod background_items;
pub mod backups;
pub mod caffeinate;
pub mod console;
pub mod developer_tools;
pub mod disk_images;
pub mod disk_space;
pub mod dscl;
pub mod dsimport;
pub mod file_vault;
pub mod hardware;
pub mod home;
pub mod launchctl;
pub mod launchd;
pub mod memory;
pub mod other_runners;
pub mod package;
pub mod path_helper;
pub mod power_settings;
pub mod preferences;
pub mod procargs;
pub mod process_limits;
pub mod rosetta;
pub mod screen_lock;
pub mod security;
pub mod spotlight;
pub mod thermal;
pub mod user_domain;
pub mod xcode;
pub mod xcode_setup;
pub mod xcodebuild;
