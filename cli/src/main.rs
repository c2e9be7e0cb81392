//! The `russet` command: argument parsing and rendering only.

fn main() {}
