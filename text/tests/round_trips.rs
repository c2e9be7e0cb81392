//! Properties: what is shown can be read again, what is encoded decodes to itself, and what is
//! printable holds nothing that a terminal obeys.

use std::time::Duration;

use proptest::prelude::*;
use russet_text::{
    encode_component, encode_path, encode_segment, format_duration, format_size, is_printable,
    one_line, one_line_within, parse_duration, parse_size, printable_lines,
};

/// Sizes and durations of every magnitude.
fn any_magnitude() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, number)| number >> shift)
}

/// Texts with many of the characters that matter here.
fn hostile_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '\u{1b}',
        '\u{7}',
        '\r',
        '\n',
        '\t',
        '\u{85}',
        '\u{9b}',
        '\u{200e}',
        '\u{2028}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{61c}',
        '\u{feff}',
        '\u{e0041}',
        '.',
        '/',
        '%',
        '+',
        ' ',
    ]);
    prop::collection::vec(prop_oneof![odd, any::<char>()], 0..40)
        .prop_map(|chars| chars.into_iter().collect())
}

/// Characters with the Unicode property Bidi_Control.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

proptest! {
    #[test]
    fn a_size_that_is_shown_reads_as_the_same_size(bytes in any_magnitude()) {
        let shown = format_size(bytes);
        let read = parse_size(&shown).unwrap();
        prop_assert_eq!(format_size(read), shown.clone());
        prop_assert!(read.abs_diff(bytes) <= bytes / 19, "{} is far from {}", shown, bytes);
        prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
    }

    #[test]
    fn a_duration_that_is_shown_reads_as_the_same_duration(
        seconds in any_magnitude(),
        nanoseconds in 0_u32..1_000_000_000,
    ) {
        let duration = Duration::new(seconds, nanoseconds);
        let shown = format_duration(duration);
        let read = parse_duration(&shown).unwrap();
        prop_assert_eq!(format_duration(read), shown);
        prop_assert!(read <= duration);
        let whole = format!("{}ns", duration.as_nanos());
        prop_assert_eq!(parse_duration(&whole), Ok(duration));
    }

    #[test]
    fn no_text_is_read_with_a_panic(text in "[0-9.]{0,25} ?[a-zµ]{0,5}[0-9. a-z]{0,9}") {
        let _size = parse_size(&text);
        let _duration = parse_duration(&text);
    }

    #[test]
    fn printable_text_holds_no_control_and_no_bidi_character(text in hostile_text()) {
        for line in [one_line(&text), one_line_within(&text, 10)] {
            prop_assert!(line.chars().all(is_printable), "{line:?}");
            prop_assert!(!line.chars().any(|c| c.is_control() || is_bidi_control(c)), "{line:?}");
        }
        prop_assert!(one_line_within(&text, 10).chars().count() <= 10);
        let obeyed = |c: char| (c.is_control() && !"\n\t".contains(c)) || is_bidi_control(c);
        let lines = printable_lines(&text);
        prop_assert!(!lines.chars().any(obeyed), "{lines:?}");
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(text in hostile_text()) {
        let decode = |encoded: &str| {
            percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
        };
        let segment = encode_segment(&text);
        prop_assert_eq!(decode(&segment), text.clone());
        prop_assert!(!segment.contains('/') && segment != ".." && segment != ".");
        prop_assert_eq!(decode(&encode_component(&text)), text.clone());
        prop_assert_eq!(decode(&encode_path(&text)), text);
    }
}
