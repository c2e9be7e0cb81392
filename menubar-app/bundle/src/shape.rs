//! Which picture stands for what. Colour says nothing: a menu bar takes it away, and not
//! everybody sees it.

/// Picture of the item in the menu bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The agent waits for tasks.
    Idle,
    /// So many tasks run.
    Running(usize),
    /// So many tasks still run, and no more are taken.
    Draining(usize),
    /// A person wants no tasks to be taken.
    Paused,
    /// The machine is not well.
    Unhealthy,
    /// Another version is about to take over.
    Updating,
    /// The control plane cannot be reached.
    Offline,
    /// It begins, or says something that this version does not know.
    Starting,
    /// There is no agent to ask.
    Unreachable,
}

impl Shape {
    /// Every shape; those with a number with each picture that they have.
    pub fn all() -> impl Iterator<Item = Self> {
        let counts = 1..=10;
        [
            Self::Idle,
            Self::Paused,
            Self::Unhealthy,
            Self::Updating,
            Self::Offline,
            Self::Starting,
            Self::Unreachable,
        ]
        .into_iter()
        .chain(counts.clone().map(Self::Running))
        .chain(counts.map(Self::Draining))
    }

    /// A word for it, for names of files and for those who do not see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running(_) => "running",
            Self::Draining(_) => "draining",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Updating => "updating",
            Self::Offline => "offline",
            Self::Starting => "starting",
            Self::Unreachable => "unreachable",
        }
    }

    /// Its vector source.
    pub(crate) fn svg(self) -> String {
        let (source, count) = match self {
            Self::Idle => (include_str!("../icons/idle.svg"), None),
            Self::Running(count) => (include_str!("../icons/running.svg"), Some(count)),
            Self::Draining(count) => (include_str!("../icons/draining.svg"), Some(count)),
            Self::Paused => (include_str!("../icons/paused.svg"), None),
            Self::Unhealthy => (include_str!("../icons/unhealthy.svg"), None),
            Self::Updating => (include_str!("../icons/updating.svg"), None),
            Self::Offline => (include_str!("../icons/offline.svg"), None),
            Self::Starting => (include_str!("../icons/starting.svg"), None),
            Self::Unreachable => (include_str!("../icons/unreachable.svg"), None),
        };
        let number = match count {
            None => return source.to_owned(),
            Some(count @ 1..=9) => format!("href=\"#n{count}\""),
            // More than fits; and none, which is a moment between two tasks.
            Some(_) => "href=\"#many\"".to_owned(),
        };
        source.replace("href=\"#n2\"", &number)
    }
}
