//! The words of the language, by place. The code checks keys against these lists and the
//! reference in `docs/config.md` is made from them, so neither can drift from the other.

mod jobs;
mod root;
mod steps;
mod workflows;

pub(crate) use jobs::*;
pub(crate) use root::*;
pub(crate) use steps::*;
pub(crate) use workflows::*;

/// The support of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It does what CircleCI says it does.
    Yes,
    /// It is accepted with a warning that it does nothing here.
    NoEffect,
}

/// A word and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) support: Support,
    /// For the reference; for words without effect also for the warning.
    pub(crate) about: &'static str,
    /// Set if it came with version 2.1.
    pub(crate) is_new: bool,
}

/// A place in a configuration and the words it may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary {
    /// Heading in the reference.
    pub(crate) title: &'static str,
    /// Name in messages: "unknown key `x` in …".
    pub(crate) place: &'static str,
    pub(crate) words: &'static [Word],
}

const fn yes(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::Yes, about, is_new: false }
}

/// One that came with version 2.1.
const fn new(name: &'static str, about: &'static str) -> Word {
    Word { is_new: true, ..yes(name, about) }
}

const fn no_effect(name: &'static str, about: &'static str) -> Word {
    Word { name, support: Support::NoEffect, about, is_new: false }
}

impl Vocabulary {
    /// The word of a name.
    pub(crate) fn word(&self, name: &str) -> Option<&'static Word> {
        self.words.iter().find(|word| word.name == name)
    }

    /// All names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.words.iter().map(|word| word.name)
    }
}

/// All places, in the order of the reference.
pub(crate) const ALL: [&Vocabulary; 33] = [
    &ROOT,
    &JOB_GROUP,
    &PARAMETER,
    &COMMAND,
    &ORB,
    &JOB,
    &RETENTION,
    &MACHINE,
    &MACOS,
    &DOCKER,
    &EXECUTOR,
    &EXECUTOR_REFERENCE,
    &STEP,
    &RUN,
    &CHECKOUT,
    &CONDITIONAL,
    &SAVE_CACHE,
    &RESTORE_CACHE,
    &PERSIST_TO_WORKSPACE,
    &ATTACH_WORKSPACE,
    &STORE_ARTIFACTS,
    &STORE_TEST_RESULTS,
    &ADD_SSH_KEYS,
    &SETUP_REMOTE_DOCKER,
    &INSTALL_SIGNING_BUNDLE,
    &WORKFLOWS,
    &WORKFLOW,
    &WORKFLOW_JOB,
    &GROUP_IN_WORKFLOW,
    &MATRIX,
    &FILTERS,
    &FILTER,
    &SCHEDULE,
];
