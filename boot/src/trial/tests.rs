use std::time::Duration;

use super::{SETTLE_TIME, Trial};
use crate::ended::{End, Ended};
use crate::files::{Fault, Health, Probation};
use crate::table::Verdict;

const SECOND: Duration = Duration::from_secs(1);

fn note() -> Probation {
    Probation { version: "2.0.0".to_owned(), bundle: "7.1.2".to_owned(), limit: 60 }
}

fn crash() -> End {
    End::new(Ended::Signal(11))
}

#[test]
fn a_trial_is_read_as_it_was_written_and_one_of_an_earlier_russet_boot_too() {
    let mut trial = Trial::new(note());
    trial.count_start();
    trial.count_end(&End { ran: SECOND, ..crash() }, Verdict::Strike);
    assert_eq!(Trial::parse(&trial.text(), None), Some(trial.clone()));
    trial.prove();
    assert_eq!(Trial::parse(&trial.text(), Some(&note())), Some(trial));
    let older = "bundle 7.1.2\nstrikes 3\n";
    assert_eq!(Trial::parse(older, None), None);
    let parsed = Trial::parse(older, Some(&note())).unwrap();
    assert_eq!((parsed.version.as_str(), parsed.exhausted()), ("2.0.0", Some(Fault::Unreached)));
    let another = Probation { bundle: "8.1.2".to_owned(), ..note() };
    assert_eq!(Trial::parse(older, Some(&another)), None);
    assert_eq!(Trial::parse("\u{0} nonsense\nbundle\n", Some(&note())), None);
}

#[test]
fn a_version_has_its_time_for_all_starts_together_and_restarts_of_the_service_use_it_too() {
    let mut trial = Trial::new(note());
    assert_eq!(trial.time_left(), Some(60 * SECOND));
    trial.count_start();
    trial.count_stop(20 * SECOND);
    trial.count_start();
    trial.count_end(&End { ran: 5 * SECOND, ..crash() }, Verdict::Strike);
    trial.count_pause(SECOND);
    assert_eq!(trial.time_left(), Some(34 * SECOND));
    assert_eq!(trial.exhausted(), None);
    trial.count_pause(34 * SECOND);
    assert_eq!(
        (trial.time_left(), trial.exhausted()),
        (Some(Duration::ZERO), Some(Fault::Crashed))
    );
}

#[test]
fn one_that_proved_itself_begins_anew_and_is_not_held_to_its_time() {
    let mut trial = Trial::new(note());
    for _ in 0..2 {
        trial.count_start();
        trial.count_end(&crash(), Verdict::Strike);
    }
    trial.count_start();
    trial.prove();
    trial.count_stop(SETTLE_TIME);
    assert_eq!((trial.time_left(), trial.note(), trial.exhausted()), (None, None, None));
    for _ in 0..100 {
        trial.count_start();
        trial.count_stop(SECOND);
    }
    assert_eq!(trial.exhausted(), None, "a person may restart it");
    for relapse in 0..5 {
        assert_eq!(trial.exhausted(), None, "{relapse}");
        trial.count_start();
        let end = End { health: Some(Health::Proved), ..End::new(Ended::Exit(12)) };
        assert_eq!(trial.count_end(&end, Verdict::Nothing), None);
    }
    assert_eq!(trial.exhausted(), Some(Fault::Unreached));
}

#[test]
fn a_version_that_could_not_have_spoken_is_not_said_to_hang() {
    let mut trial = Trial::new(note());
    let late = End::new(Ended::TooLate);
    assert_eq!(trial.count_end(&late, Verdict::Bad), Some(Fault::Hung));
    let ready = End { health: Some(Health::Ready), ..late.clone() };
    assert_eq!(trial.count_end(&ready, Verdict::Bad), Some(Fault::Unreached));
    let mute = End { is_mute: true, ..late };
    assert_eq!(trial.count_end(&mute, Verdict::Bad), Some(Fault::Unreached));
}
