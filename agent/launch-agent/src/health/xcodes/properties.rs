//! What holds of the choice among Xcodes, whichever there are and whatever is wanted.

use proptest::prelude::*;
use russet_protocol::xcode::{WrittenVersion, Xcode, choose_xcode};

fn version() -> impl Strategy<Value = Vec<u32>> {
    (9_u32..28, proptest::collection::vec(0_u32..4, 0..3))
        .prop_map(|(major, rest)| std::iter::once(major).chain(rest).collect())
}

fn join(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn xcode() -> impl Strategy<Value = Xcode> {
    (version(), proptest::option::of(1_u32..4), any::<bool>(), 0_u32..5).prop_map(
        |(numbers, beta_number, is_beta, build)| Xcode {
            version: join(&numbers),
            build: Some(format!("17A{build}")),
            is_beta,
            beta_number: beta_number.filter(|_| is_beta),
            names: vec!["Xcode".to_owned()],
        },
    )
}

/// Numbers with zeros behind them, as versions are compared.
fn padded(version: &str) -> Vec<u32> {
    let mut numbers = WrittenVersion::parse(version).unwrap().numbers;
    numbers.resize(4, 0);
    numbers
}

proptest! {
    #[test]
    fn an_xcode_that_is_chosen_has_all_numbers_that_were_written(
        all in proptest::collection::vec(xcode(), 0..8),
        wanted in version(),
    ) {
        let fits = |xcode: &Xcode| padded(&xcode.version).starts_with(&wanted);
        match choose_xcode(&join(&wanted), &all) {
            None => prop_assert!(!all.iter().any(fits)),
            Some(at) => {
                let chosen = &all[at];
                prop_assert!(fits(chosen));
                let has_release = all.iter().any(|xcode| fits(xcode) && !xcode.is_beta);
                prop_assert_eq!(chosen.is_beta, !has_release);
                let exact = |xcode: &Xcode| {
                    let mut written = wanted.clone();
                    written.resize(4, 0);
                    padded(&xcode.version) == written && xcode.is_beta == chosen.is_beta
                };
                if wanted.len() > 1 && all.iter().any(exact) {
                    prop_assert!(exact(chosen), "{chosen} and not the written version");
                } else {
                    let newest = all.iter().filter(|one| fits(one) && one.is_beta == chosen.is_beta);
                    let newest = newest.map(|xcode| padded(&xcode.version)).max();
                    prop_assert_eq!(Some(padded(&chosen.version)), newest);
                }
            }
        }
    }

    #[test]
    fn the_order_in_which_they_are_found_changes_nothing(
        all in proptest::collection::vec(xcode(), 1..8),
        wanted in version(),
        is_beta: bool,
        turn in 0_usize..8,
    ) {
        let wanted = format!("{}{}", join(&wanted), if is_beta { " beta" } else { "" });
        let mut other = all.clone();
        let middle = turn % other.len();
        other.rotate_left(middle);
        let of = |all: &[Xcode]| choose_xcode(&wanted, all).map(|at| all[at].to_string());
        prop_assert_eq!(of(&all), of(&other));
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in ".{0,80}") {
        let all = [Xcode { version: text.clone(), names: vec![text.clone()], ..Xcode::default() }];
        prop_assert!(choose_xcode(&text, &all).is_none_or(|at| at == 0));
    }
}
