//! Tools of a step that stores or fetches an archive, and its messages.

use std::sync::Arc;

use super::local::Local;
use super::transfer::{Failure, Fetched, Source, Transfer};
use crate::archive::Packed;
use crate::task::api::Api;
use crate::task::directories::JobDirs;
use crate::task::disk::DiskLimit;
use crate::task::journal::StepOutput;
use crate::task::step_end::StepEnd;
use crate::task::stop::StopSignal;
use russet_text::format_size;

/// Tools of a step that stores or fetches an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorageStep<'a> {
    pub(super) api: &'a Api,
    pub(super) stop: &'a StopSignal,
    pub(super) dirs: &'a JobDirs,
    /// Copies of archives on this machine.
    pub(super) local: &'a Arc<Local>,
    pub(super) output: &'a StepOutput,
    pub(super) disk: &'a DiskLimit,
}

impl<'a> StorageStep<'a> {
    /// Tools of a transfer.
    pub(super) fn transfer(self) -> Transfer<'a> {
        let Self { api, stop, local, disk, .. } = self;
        Transfer { api, stop, local, spool: &self.dirs.slot.spool, disk }
    }

    /// Adds text to the step's output.
    pub(super) fn say(self, text: &str) {
        self.output.say(text);
    }

    /// Says why a transfer failed, and returns the end of the step that it fails.
    pub(super) fn fail(self, failure: Failure) -> StepEnd {
        match failure {
            Failure::Other(why) => self.output.fail(why),
            failure => self.cut_short(failure),
        }
    }

    /// Returns the end of a step whose failure leaves nothing to say.
    pub(super) fn cut_short(self, failure: Failure) -> StepEnd {
        match failure {
            Failure::Stopped => StepEnd::stopped(self.stop),
            Failure::Stale(error) => StepEnd::call_failed(&error, self.stop),
            Failure::Other(why) => StepEnd::failed(why),
        }
    }

    /// Says how much was packed into an archive of a size.
    pub(super) fn say_packed(self, packed: &Packed, archive: u64) {
        for note in &packed.notes {
            self.say(&format!("note: {note}"));
        }
        self.say(&format!(
            "Uploaded {} entries of {}, {} compressed",
            packed.entries,
            format_size(packed.bytes),
            format_size(archive)
        ));
    }

    /// Says how much was unpacked, and where it came from.
    pub(super) fn say_unpacked(self, fetched: &Fetched) {
        let (how, from) = match fetched.source {
            Source::Server => ("Unpacked", ""),
            Source::Copy => ("Unpacked", ", from the copy on this machine"),
            Source::Clones => ("Cloned", ", from the copy on this machine"),
        };
        let unpacked = &fetched.unpacked;
        let (entries, size) = (unpacked.entries, format_size(unpacked.bytes));
        self.say(&format!("{how} {entries} entries of {size}{from}"));
        if unpacked.lost_attributes > 0 {
            self.say(&format!(
                "note: {} extended attributes could not be set on this file system",
                unpacked.lost_attributes
            ));
        }
    }
}
