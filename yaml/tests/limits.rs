//! Cost of a hostile text, and parts of YAML that can be turned off.

use proptest::prelude::*;
use russet_yaml::{Kind, Limits, Source, parse};

const WIDE: Limits = Limits { max_bytes: 1 << 20, max_size: 1 << 20, max_depth: 20, aliases: true };
const NARROW: Limits = Limits { aliases: false, ..WIDE };

/// The message of the only fault of a text, with its line.
fn fault(text: &str, limits: &Limits) -> String {
    let (root, faults) = parse(text, 0, limits);
    assert!(root.is_none(), "{text}");
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (line, column) = Source::new("f", text).position(faults[0].span);
    format!("{line}:{column}: {}", faults[0].message)
}

#[test]
fn aliases_and_merge_keys_can_be_turned_off() {
    let text = "a: &a {x: 1}\nb: *a\n";
    assert!(parse(text, 0, &WIDE).1.is_empty());
    assert_eq!(fault(text, &NARROW), "2:4: aliases (`*name`) are not supported here");
    let (root, faults) = parse("<<: {x: 1}\n", 0, &NARROW);
    assert!(faults.is_empty());
    assert_eq!(&*root.unwrap().entries()[0].key, "<<");
}

#[test]
fn a_text_that_is_too_long_too_deep_or_too_large_is_refused() {
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(fault(&long, &NARROW), "1:1: the text is longer than 1048576 bytes");
    let deep = format!("{}{}", "[".repeat(30), "]".repeat(30));
    assert_eq!(fault(&deep, &NARROW), "1:21: this is nested more than 20 levels deep");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(fault(&bomb, &WIDE).contains("grows beyond 1 MiB"), "{}", fault(&bomb, &WIDE));
}

#[test]
fn an_empty_text_has_no_tree_and_no_fault() {
    for text in ["", "\n", "# nothing\n"] {
        let (root, faults) = parse(text, 0, &NARROW);
        assert!(root.is_none() && faults.is_empty(), "{text}");
    }
    assert_eq!(parse("~", 0, &NARROW).0.unwrap().kind(), Kind::Nothing);
}

proptest! {
    #[test]
    fn no_text_is_read_with_a_panic_and_every_fault_has_a_place_in_it(
        text in "[-a:*&<>{}\\[\\]\"'#|! \n\t~0-9é]{0,200}",
        aliases: bool,
    ) {
        let (_, faults) = parse(&text, 0, &Limits { aliases, ..WIDE });
        let source = Source::new("f", &text);
        for fault in faults {
            let (line, column) = source.position(fault.span);
            prop_assert!(line >= 1 && column >= 1);
            let place = source.place(fault.span);
            prop_assert_eq!((place.line, place.column), (line, column));
        }
    }
}
