//! Decision on whether this machine takes the version of a manifest. Pure: facts go in, a decision
//! comes out.

use std::time::Duration;

use russet_protocol::boot_files::{Bad, Fault};
use russet_protocol::manifest::{Artifact, EVERYBODY, Manifest, Platform, STABLE, is_name};
use semver::Version;

use super::record::is_recent;

/// A version that could not reach its control plane may have met an outage: after so many seconds
/// it may try again.
const UNREACHED_AGAIN_S: u64 = 24 * 3600;

/// The largest archive that is ever fetched, in bytes.
const LARGEST_ARCHIVE: u64 = 1 << 30;

/// Facts about this machine.
#[derive(Clone, Debug)]
pub(super) struct Machine<'a> {
    /// The version that runs.
    pub(super) running: &'a str,
    /// The channel that the owner chose. None: the source is to choose.
    pub(super) channel: Option<&'a str>,
    /// Set if the source says that it holds this machine at a release.
    pub(super) is_pinned: bool,
    /// Platform of archives.
    pub(super) platform: Platform,
    /// The architecture, as the system names it.
    pub(super) arch: &'a str,
    /// The system's version, where it is known.
    pub(super) os: Option<&'a str>,
    /// The highest counter that was seen in this channel.
    pub(super) counter: u64,
    /// A number from 0 to 999 that this machine keeps.
    pub(super) seed: u16,
    /// Versions that were taken back.
    pub(super) bad: &'a [Bad],
    /// Time at which the newest of them was, in seconds since 1970.
    pub(super) taken_back_s: Option<u64>,
    /// Now, in seconds since 1970.
    pub(super) now_s: u64,
    /// Set if a person asked for it: then a rollout that has not come here yet is no reason.
    pub(super) asked: bool,
}

/// Decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// This machine runs it, or a later one.
    UpToDate,
    /// It is not the turn of this machine yet.
    RolloutPending,
    /// It is to be fetched.
    Take(Artifact),
}

/// Reason why an offer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Another channel's.
    #[error("the manifest is for the channel `{0}`")]
    Channel(String),
    /// It is older than one that was seen.
    #[error(
        "the manifest is number {0}, and number {1} was here before: somebody shows an old one"
    )]
    Replayed(u64, u64),
    /// Its time is over, for so long.
    #[error(
        "the manifest expired {0} ago; the source is not kept up to date, or somebody holds new ones back"
    )]
    Expired(String),
    /// It is of the future.
    #[error("the manifest was signed in the future: is this machine's clock right?")]
    Future,
    /// For testing.
    #[error("version {0} was linked for testing, and the channel `{STABLE}` takes none such")]
    Stubs(String),
    /// A version is not valid.
    #[error("`{0}` is not a valid version")]
    Version(String),
    /// Too big a step.
    #[error("version {0} needs an agent of version {1} or later before it")]
    Agent(String, String),
    /// Too old a system.
    #[error("version {0} needs a system of version {1} or later; this one is {2}")]
    System(String, String, String),
    /// Nothing for this kind of machine.
    #[error("version {0} has nothing for {1}")]
    Platform(String, &'static str),
    /// The manifest is wrong about its archive.
    #[error("the manifest names an archive that cannot be: {0}")]
    Artifact(String),
    /// It was here.
    #[error("version {0} was taken back on this machine: it {1}")]
    Bad(String, String),
}

/// A number that a machine takes once and keeps, from random bytes.
pub(super) fn rollout_place(random: u64) -> u16 {
    u16::try_from(random % u64::from(EVERYBODY)).unwrap_or(0)
}

/// Decides. The manifest has been verified.
pub(super) fn decide_offer(manifest: &Manifest, machine: &Machine<'_>) -> Result<Offer, Refusal> {
    let version = || manifest.version.clone();
    if machine.channel.is_some_and(|channel| channel != manifest.channel) {
        return Err(Refusal::Channel(manifest.channel.clone()));
    }
    let (offered, running) = (parse(&manifest.version)?, parse(machine.running)?);
    if machine.is_pinned && offered <= running {
        // Nothing would be installed, so its counter and its time protect from nothing: that an
        // old one is shown is what its administrator wants.
        return Ok(Offer::UpToDate);
    }
    if manifest.counter < machine.counter {
        return Err(Refusal::Replayed(manifest.counter, machine.counter));
    }
    if manifest.expires_s <= machine.now_s {
        let since = Duration::from_secs(machine.now_s - manifest.expires_s);
        return Err(Refusal::Expired(russet_text::format_duration(since)));
    }
    // A day is more than time zones make of a clock that was set by hand.
    if manifest.created_s > machine.now_s.saturating_add(24 * 3600) {
        return Err(Refusal::Future);
    }
    if offered <= running {
        return Ok(Offer::UpToDate);
    }
    if manifest.linked_against_stubs && manifest.channel == STABLE {
        return Err(Refusal::Stubs(version()));
    }
    if let Some(minimum) = &manifest.minimum_agent
        && running < parse(minimum)?
    {
        return Err(Refusal::Agent(version(), minimum.clone()));
    }
    if let Some(bad) = machine.bad.iter().rev().find(|bad| bad.version == manifest.version) {
        // Where nothing says when it was taken back, that was just now.
        let was_recent =
            machine.taken_back_s.is_none_or(|at| is_recent(at, machine.now_s, UNREACHED_AGAIN_S));
        if bad.fault != Fault::Unreached || was_recent {
            return Err(Refusal::Bad(version(), bad.why()));
        }
    }
    let artifact = find_artifact(manifest, machine)?;
    if machine.seed >= manifest.rollout && !machine.asked {
        return Ok(Offer::RolloutPending);
    }
    Ok(Offer::Take(artifact))
}

fn find_artifact(manifest: &Manifest, machine: &Machine<'_>) -> Result<Artifact, Refusal> {
    let version = || manifest.version.clone();
    let platform = machine.platform;
    let artifact = manifest
        .artifact(platform)
        .ok_or_else(|| Refusal::Platform(version(), platform.as_str()))?;
    let fits = is_name(&artifact.file)
        && (1..=LARGEST_ARCHIVE).contains(&artifact.size)
        && artifact.sha256.len() == 64
        && artifact.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !fits {
        return Err(Refusal::Artifact(artifact.file.chars().take(80).collect()));
    }
    if let (Some(minimum), Some(os)) = (artifact.minimum_os.get(machine.arch), machine.os)
        && version_numbers(os) < version_numbers(minimum)
    {
        return Err(Refusal::System(version(), minimum.clone(), os.to_owned()));
    }
    Ok(artifact.clone())
}

fn parse(text: &str) -> Result<Version, Refusal> {
    Version::parse(text).map_err(|_| Refusal::Version(text.chars().take(80).collect()))
}

/// Versions of systems have two or three numbers.
fn version_numbers(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        text.split('.').map(|number| number.parse().unwrap_or(0)).take(3).collect();
    numbers.resize(3, 0);
    numbers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use russet_protocol::boot_files::{Bad, Fault};
    use russet_protocol::manifest::{Artifact, Manifest, Platform};

    use super::{Machine, Offer, Refusal, decide_offer};

    fn manifest() -> Manifest {
        let artifact = Artifact {
            file: "russet-1.2.0.tar.gz".to_owned(),
            size: 10,
            sha256: "0".repeat(64),
            minimum_os: BTreeMap::from([("arm64".to_owned(), "11.0".to_owned())]),
        };
        Manifest {
            schema: 1,
            channel: "stable".to_owned(),
            version: "1.2.0".to_owned(),
            counter: 7,
            created_s: 1_000_000,
            expires_s: 2_000_000,
            rollout: 1000,
            minimum_agent: None,
            linked_against_stubs: false,
            notes_url: None,
            artifacts: BTreeMap::from([("macos-universal".to_owned(), artifact)]),
        }
    }

    fn machine() -> Machine<'static> {
        Machine {
            running: "1.1.9",
            channel: Some("stable"),
            is_pinned: false,
            platform: Platform::MacosUniversal,
            arch: "arm64",
            os: Some("14.5"),
            counter: 7,
            seed: 500,
            bad: &[],
            taken_back_s: None,
            now_s: 1_500_000,
            asked: false,
        }
    }

    #[test]
    fn a_newer_version_is_taken_and_the_same_or_an_older_one_is_not() {
        assert!(matches!(decide_offer(&manifest(), &machine()), Ok(Offer::Take(_))));
        for running in ["1.2.0", "1.10.0", "2.0.0-beta.1"] {
            let machine = Machine { running, ..machine() };
            assert_eq!(decide_offer(&manifest(), &machine), Ok(Offer::UpToDate), "{running}");
        }
        let before = Machine { running: "1.2.0-rc.1", ..machine() };
        assert!(matches!(decide_offer(&manifest(), &before), Ok(Offer::Take(_))));
    }

    #[test]
    fn each_reason_to_refuse_is_said() {
        type Change = fn(&mut Manifest, &mut Machine<'static>);
        let cases: [(Change, &str); 10] = [
            (|manifest, _| manifest.channel = "beta".to_owned(), "channel"),
            (|_, machine| machine.counter = 8, "somebody shows an old one"),
            (|_, machine| machine.now_s = 2_000_005, "expired 5 s ago"),
            (|_, machine| machine.now_s = 0, "clock"),
            (|manifest, _| manifest.linked_against_stubs = true, "for testing"),
            (|manifest, _| manifest.version = "new".to_owned(), "not a valid version"),
            (|manifest, _| manifest.minimum_agent = Some("1.1.10".to_owned()), "1.1.10 or later"),
            (|_, machine| machine.os = Some("10.15.7"), "this one is 10.15.7"),
            (|_, machine| machine.platform = Platform::LinuxX86_64, "nothing for linux-x86_64"),
            (
                |manifest, _| {
                    let artifact = manifest.artifacts.get_mut("macos-universal").unwrap();
                    artifact.file = "../../etc/passwd".to_owned();
                },
                "cannot be",
            ),
        ];
        for (change, said) in cases {
            let (mut manifest, mut machine) = (manifest(), machine());
            change(&mut manifest, &mut machine);
            let refusal = decide_offer(&manifest, &machine).unwrap_err().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
    }

    #[test]
    fn a_version_that_was_taken_back_does_not_return_unless_it_may_have_met_an_outage() {
        let bad = |fault| Bad {
            version: "1.2.0".to_owned(),
            bundle: "1.2.3".to_owned(),
            fault,
            reason: "was killed by signal 11".to_owned(),
        };
        let (crashed, unreached) = ([bad(Fault::Crashed)], [bad(Fault::Unreached)]);
        let back = Some(1_400_000);
        let of = |bad| Machine { bad, taken_back_s: back, ..machine() };
        assert!(matches!(decide_offer(&manifest(), &of(&crashed)), Err(Refusal::Bad(..))));
        assert!(matches!(decide_offer(&manifest(), &of(&unreached)), Ok(Offer::Take(_))));
        let soon = Machine { taken_back_s: Some(1_499_000), ..of(&unreached) };
        assert!(matches!(decide_offer(&manifest(), &soon), Err(Refusal::Bad(..))));
        // The clock was ahead when it was taken back: that keeps nothing away for ever.
        let ahead = Machine { taken_back_s: Some(9_000_000), ..of(&unreached) };
        assert!(matches!(decide_offer(&manifest(), &ahead), Ok(Offer::Take(_))));
    }

    #[test]
    fn a_source_that_is_to_choose_may_choose_a_channel_and_nothing_that_was_replayed() {
        let machine = Machine { channel: None, ..machine() };
        let beta = Manifest { channel: "beta".to_owned(), ..manifest() };
        assert!(matches!(decide_offer(&beta, &machine), Ok(Offer::Take(_))));
        let stubs = Manifest { linked_against_stubs: true, ..manifest() };
        assert!(matches!(decide_offer(&stubs, &machine), Err(Refusal::Stubs(_))));
        for is_pinned in [false, true] {
            let replayed = Machine { counter: 8, is_pinned, ..machine.clone() };
            assert_eq!(decide_offer(&beta, &replayed), Err(Refusal::Replayed(7, 8)));
        }
    }

    #[test]
    fn a_pin_to_what_runs_or_to_something_older_is_no_failure_and_installs_nothing() {
        let old = Machine { counter: 8, now_s: 2_000_005, is_pinned: true, ..machine() };
        for running in ["1.2.0", "1.3.0"] {
            let pinned = Machine { running, ..old.clone() };
            assert_eq!(decide_offer(&manifest(), &pinned), Ok(Offer::UpToDate), "{running}");
            let shown = Machine { is_pinned: false, ..pinned };
            assert!(decide_offer(&manifest(), &shown).is_err(), "{running}");
        }
    }

    #[test]
    fn a_rollout_reaches_the_machines_below_it_and_whoever_asks() {
        let half = Manifest { rollout: 500, ..manifest() };
        assert_eq!(decide_offer(&half, &machine()), Ok(Offer::RolloutPending));
        let asked = Machine { asked: true, ..machine() };
        assert!(matches!(decide_offer(&half, &asked), Ok(Offer::Take(_))));
        let early = Machine { seed: 499, ..machine() };
        assert!(matches!(decide_offer(&half, &early), Ok(Offer::Take(_))));
    }

    proptest! {
        /// Whatever is offered and asked: nothing old, expired, foreign or for testing is taken.
        #[test]
        fn what_is_taken_is_newer_fresh_and_meant_for_this_machine(
            (major, minor, patch) in (0_u64..3, 0_u64..3, 0_u64..3),
            counter in 0_u64..4, seen in 0_u64..4,
            rollout in 0_u16..=1000, seed in 0_u16..1000, now in 0_u64..3_000_000,
            stubs: bool, asked: bool, stable: bool, is_pinned: bool, is_free: bool,
        ) {
            let channel = if stable { "stable" } else { "beta" };
            let manifest = Manifest {
                version: format!("{major}.{minor}.{patch}"), counter, rollout,
                linked_against_stubs: stubs, channel: channel.to_owned(), ..manifest()
            };
            let channel = (!is_free).then_some(channel);
            let machine = Machine {
                counter: seen, seed, now_s: now, asked, channel, is_pinned, ..machine()
            };
            if let Ok(Offer::Take(_)) = decide_offer(&manifest, &machine) {
                prop_assert!((major, minor, patch) > (1, 1, 9));
                prop_assert!(counter >= seen && now < manifest.expires_s);
                prop_assert!(asked || seed < rollout);
                prop_assert!(!(stubs && stable));
            }
        }
    }
}
