//! Messages of `russet-boot` and the launch agent to each other, as files in the state directory:
//! their names and their text. Who writes which, and when, is in `docs/service.md`.
//!
//! Each file has one writer, is replaced by a rename, and is lines of a word and its value: so
//! `russet-boot`, which compiles this very file and has no dependencies, needs no parser. Nothing
//! but the standard library is used here, and nothing is read or written.

/// Written by whoever puts a new version in place: that it has to prove itself.
pub const PROBATION: &str = "probation";

/// Written by the launch agent: how far it is.
pub const HEALTH: &str = "health";

/// Written by `russet-boot`: starts and ends of the version in probation.
pub const STRIKES: &str = "strikes";

/// Written by `russet-boot`: seconds that each bundle ran.
pub const RAN: &str = "ran";

/// Written by `russet-boot`: versions that it went back from.
pub const BAD: &str = "bad";

/// Line of [`HEALTH`] by which a launch agent says that it ends because its owner wants it to.
const ENDS_AS_ASKED: &str = "ends as-asked";

/// Versions that are remembered.
const MAX_BAD: usize = 16;

/// Characters at which versions and reasons are cut.
const MAX_WORD: usize = 200;

/// A version that has to prove itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probation {
    /// Its version, for people and for the list of bad ones.
    pub version: String,
    /// Its bundle ([`identity`]): the one that stands at the agent's path is in probation if it is
    /// this. So it does not matter between which two steps of an update the machine loses power.
    pub bundle: String,
    /// Seconds within which it has to prove itself, those of all its starts together.
    pub limit: u64,
}

/// Progress of the launch agent's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Slots are there, and tasks of an earlier launch agent are adopted.
    Ready,
    /// And the control plane has answered.
    Proved,
}

/// A version that `russet-boot` went back from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The version, `unknown` where nothing said which it was.
    pub version: String,
    /// Its bundle ([`identity`]).
    pub bundle: String,
    /// Reason.
    pub fault: Fault,
    /// The same in words.
    pub reason: String,
}

/// Fault of a version, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be executed at all.
    Broken,
    /// It crashed too often before it had proved itself.
    Crashed,
    /// It refused its command line or a configuration that the version before had read.
    Refused,
    /// It was not ready within its time.
    Hung,
    /// It was not well, which may be the doing of its surroundings: the control plane did not
    /// answer, the machine went down, something held the state directory. Such a version is tried
    /// again later.
    Unreached,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::Broken, Self::Crashed, Self::Refused, Self::Hung, Self::Unreached];

    fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
            Self::Hung => "hung",
            Self::Unreached => "unreached",
        }
    }
}

impl Bad {
    /// Returns the reason, and when the version is tried again.
    #[must_use]
    pub fn why(&self) -> String {
        let again = match self.fault {
            Fault::Unreached => "it is tried again by itself a day after it was installed",
            _ => "it is not tried again on this machine, a later version is",
        };
        format!("{}; {again}", self.reason)
    }
}

/// Identity of a bundle: what stays the same when the directory is renamed or exchanged. The inode
/// alone would not do, the file system gives it to another directory later.
#[must_use]
pub fn identity(inode: u64, modified_s: i64, modified_ns: i64) -> String {
    format!("{inode}.{modified_s}.{modified_ns}")
}

/// Returns true if two identities are of one directory, in which names may have changed meanwhile.
/// This holds while the directory exists.
#[must_use]
pub fn is_same_directory(a: &str, b: &str) -> bool {
    let inode = |identity: &str| identity.split_once('.').map(|(inode, _)| inode.to_owned());
    a == b || inode(a).is_some_and(|of_a| Some(of_a) == inode(b))
}

/// Returns the value of the first line that begins with `word`.
pub(crate) fn value<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
}

/// Returns the value of the first line that begins with `word`, where it is a number.
pub(crate) fn number(text: &str, word: &str) -> Option<u64> {
    value(text, word)?.parse().ok()
}

/// Makes a word that can stand in a line: a version comes from a file that was downloaded.
pub(crate) fn word(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || ".+-_".contains(*c);
    let word: String = text.chars().filter(fits).take(MAX_WORD).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

impl Probation {
    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let (version, bundle) = (word(&self.version), word(&self.bundle));
        format!("version {version}\nbundle {bundle}\nlimit {}\n", self.limit)
    }

    /// The other way. `None`: this is no such text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            version: word(value(text, "version")?),
            bundle: word(value(text, "bundle")?),
            limit: number(text, "limit")?,
        })
    }
}

impl Health {
    /// The text of the file, for the process `pid`.
    #[must_use]
    pub fn text(self, pid: u32) -> String {
        let state = match self {
            Self::Ready => "ready",
            Self::Proved => "proved",
        };
        format!("pid {pid}\nstate {state}\n")
    }

    /// The text of the file once the process `pid`, which had said `text`, ends because its owner
    /// wants it to. An earlier `russet-boot` skips the line that is added.
    #[must_use]
    pub fn ending_text(text: &str, pid: u32) -> String {
        let told = Self::parse(text, pid).map_or_else(|| format!("pid {pid}\n"), |it| it.text(pid));
        format!("{told}{ENDS_AS_ASKED}\n")
    }

    /// Returns true if the process `pid` said that it ends because its owner wants it to.
    #[must_use]
    pub fn ends_as_asked(text: &str, pid: u32) -> bool {
        number(text, "pid") == Some(u64::from(pid))
            && text.lines().any(|line| line == ENDS_AS_ASKED)
    }

    /// Reads the health that the process `pid` reported. `None`: nothing, or another process's.
    #[must_use]
    pub fn parse(text: &str, pid: u32) -> Option<Self> {
        if number(text, "pid")? != u64::from(pid) {
            return None;
        }
        match value(text, "state")? {
            "ready" => Some(Self::Ready),
            "proved" => Some(Self::Proved),
            _ => None,
        }
    }
}

/// The text of [`BAD`]: a line for each, the newest last.
#[must_use]
pub fn bad_text(all: &[Bad]) -> String {
    let newest = &all[all.len().saturating_sub(MAX_BAD)..];
    let line = |bad: &Bad| {
        let reason: String = bad
            .reason
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_WORD)
            .collect();
        format!("bad {} {} {} {reason}\n", word(&bad.version), word(&bad.bundle), bad.fault.word())
    };
    newest.iter().map(line).collect()
}

/// The other way. Lines that are none are left out.
#[must_use]
pub fn parse_bad(text: &str) -> Vec<Bad> {
    let parse = |line: &str| {
        let mut words = line.strip_prefix("bad ")?.splitn(4, ' ');
        let (version, bundle, fault) = (words.next()?, words.next()?, words.next()?);
        Some(Bad {
            version: version.to_owned(),
            bundle: bundle.to_owned(),
            fault: Fault::ALL.into_iter().find(|known| known.word() == fault)?,
            reason: words.next().unwrap_or_default().to_owned(),
        })
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{Bad, Fault, Health, Probation, bad_text, identity, is_same_directory, parse_bad};

    #[test]
    fn files_of_the_first_version_are_understood_for_ever() {
        let probation =
            Probation { version: "1.4.0-rc.1".to_owned(), bundle: identity(7, -1, 5), limit: 300 };
        assert_eq!(probation.text(), "version 1.4.0-rc.1\nbundle 7.-1.5\nlimit 300\n");
        let newer = "version 1.4.0-rc.1\nbundle 7.-1.5\nadded later\nlimit 300\n";
        assert_eq!(Probation::parse(newer), Some(probation));
        assert_eq!(Health::Proved.text(9), "pid 9\nstate proved\n");
        assert_eq!(Health::parse("pid 9\nstate ready\n", 9), Some(Health::Ready));
        let bad = parse_bad("bad 1.4.0 7.1.2 crashed it was killed by signal 11\n");
        assert_eq!(bad[0].fault, Fault::Crashed);
        assert_eq!(bad[0].reason, "it was killed by signal 11");
        assert!(
            bad[0]
                .why()
                .ends_with("signal 11; it is not tried again on this machine, a later version is")
        );
        assert_eq!(parse_bad(&bad_text(&bad)), bad);
    }

    #[test]
    fn what_is_cut_empty_or_of_something_else_says_nothing() {
        assert_eq!(Probation::parse("version 1.4.0\nbundle 7\nlim"), None);
        assert_eq!(Probation::parse("version 1.4.0\nbundle 7\nlimit -1\n"), None);
        assert_eq!(Probation::parse(""), None);
        assert_eq!(Health::parse("pid 9\nstate ready\n", 8), None);
        assert_eq!(Health::parse("pid 9\nstate re", 9), None);
        assert_eq!(parse_bad("bad 1.4.0\n\0\nbad x y fell\n"), []);
    }

    #[test]
    fn an_end_as_asked_is_an_addition_to_what_was_said_by_the_same_process() {
        let text = Health::ending_text(&Health::Proved.text(9), 9);
        assert_eq!(text, "pid 9\nstate proved\nends as-asked\n");
        assert_eq!(Health::parse(&text, 9), Some(Health::Proved));
        assert!(Health::ends_as_asked(&text, 9) && !Health::ends_as_asked(&text, 8));
        assert!(!Health::ends_as_asked(&Health::Proved.text(9), 9));
        assert!(Health::ends_as_asked(&Health::ending_text("pid 8\nstate ready\n", 9), 9));
    }

    #[test]
    fn a_directory_is_known_again_by_its_inode_alone() {
        assert!(is_same_directory("7.1.2", "7.9.9") && is_same_directory("none", "none"));
        assert!(!is_same_directory("7.1.2", "71.1.2") && !is_same_directory("none", "7.1.2"));
    }

    #[test]
    fn a_version_cannot_add_a_line_and_the_list_stays_short() {
        let bad = |version: String| Bad {
            version,
            bundle: "1.1.1".to_owned(),
            fault: Fault::Hung,
            reason: "a\nbad b 2 hung".to_owned(),
        };
        let all: Vec<Bad> = (0..40).map(|number| bad(format!("1.{number}\nx"))).collect();
        let read = parse_bad(&bad_text(&all));
        assert_eq!(read.len(), 16);
        assert_eq!(read[15].version, "1.39x");
        let probation = Probation { version: "\n".to_owned(), bundle: String::new(), limit: 1 };
        assert_eq!(Probation::parse(&probation.text()).unwrap().version, "unknown");
    }
}
