//! Files and directories that a client holds open.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::sync::{Arc, Mutex};

use super::reply::Refusal;
use russh_sftp::protocol::StatusCode;

/// Files and directories that one client may hold open.
pub(crate) const MAX_HANDLES: usize = 256;

/// File or directory that a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    File(Arc<File>),
    /// With its entries so far.
    Directory(Arc<Mutex<ReadDir>>),
}

/// Handles by their names, which are numbers.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    held: HashMap<String, Held>,
    next: u64,
}

impl Handles {
    /// Keeps something open.
    pub(crate) fn keep(&mut self, held: Held) -> Result<String, Refusal> {
        if self.held.len() >= MAX_HANDLES {
            return Err(Refusal::new(StatusCode::Failure, "too many files are open"));
        }
        self.next += 1;
        let name = self.next.to_string();
        self.held.insert(name.clone(), held);
        Ok(name)
    }

    pub(crate) fn release(&mut self, name: &str) -> Result<(), Refusal> {
        self.held.remove(name).map(drop).ok_or_else(Refusal::bad_handle)
    }

    pub(crate) fn file(&self, name: &str) -> Result<Arc<File>, Refusal> {
        match self.held.get(name) {
            Some(Held::File(file)) => Ok(Arc::clone(file)),
            _ => Err(Refusal::bad_handle()),
        }
    }

    pub(crate) fn directory(&self, name: &str) -> Result<Arc<Mutex<ReadDir>>, Refusal> {
        match self.held.get(name) {
            Some(Held::Directory(entries)) => Ok(Arc::clone(entries)),
            _ => Err(Refusal::bad_handle()),
        }
    }
}
