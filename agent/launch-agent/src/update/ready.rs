//! Versions that lie ready to take this one's place: one that updates fetched, and one that an
//! installer package brought.
//!
//! The package's comes first: a person or the owner's MDM chose it, while updates take what there
//! is. So as long as one lies ready, updates neither offer theirs nor show how far it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exchange::Staged;

/// Both versions, shared by those who make them ready and whoever puts one in place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ready(Arc<Mutex<Versions>>);

#[derive(Debug, Default)]
struct Versions {
    fetched: Option<Staged>,
    arrived: Option<Staged>,
}

impl Ready {
    /// Returns the version that updates fetched.
    pub(super) fn fetched(&self) -> Option<Staged> {
        self.lock().fetched.clone()
    }

    /// Sets or withdraws the version that updates fetched.
    pub(super) fn set_fetched(&self, staged: Option<Staged>) {
        self.lock().fetched = staged;
    }

    /// Returns true if a package's version lies ready.
    pub(super) fn has_arrived(&self) -> bool {
        self.lock().arrived.is_some()
    }

    /// Sets a package's version.
    pub(super) fn set_arrived(&self, staged: Staged) {
        self.lock().arrived = Some(staged);
    }

    /// Withdraws a package's version and changes its files, while nobody can put it in place.
    pub(super) fn withdraw_arrived<T>(&self, change: impl FnOnce() -> T) -> T {
        let mut versions = self.lock();
        versions.arrived = None;
        change()
    }

    /// Takes the version to put in place, and keeps its files as they are until `place` returns.
    /// `None`: there is none.
    pub(crate) fn use_version<T>(&self, place: impl FnOnce(&Staged) -> T) -> Option<T> {
        let mut versions = self.lock();
        let staged = versions.arrived.take().or_else(|| versions.fetched.take())?;
        Some(place(&staged))
    }

    fn lock(&self) -> MutexGuard<'_, Versions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ready, Staged};
    use russet_platform::layout::Layout;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn the_version_of_a_package_comes_before_one_that_was_fetched() {
        let staged = |version: &str| Staged {
            version: version.to_owned(),
            bundle: Path::new("/x").join(version),
            layout: Layout::default(),
            state: "/s".into(),
            probation: Duration::ZERO,
        };
        let ready = Ready::default();
        let used = |ready: &Ready| ready.use_version(|staged| staged.version.clone());
        assert_eq!(used(&ready), None);
        ready.set_fetched(Some(staged("3")));
        ready.set_arrived(staged("2"));
        assert_eq!(used(&ready).as_deref(), Some("2"));
        assert_eq!(used(&ready).as_deref(), Some("3"));
        ready.set_arrived(staged("4"));
        ready.withdraw_arrived(|| ());
        assert_eq!(used(&ready), None);
    }
}
