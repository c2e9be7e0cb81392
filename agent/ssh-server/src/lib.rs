//! The SSH server within a task that is rerun for a person.
