use proptest::prelude::*;
use russet_protocol::secret::Secret;

use super::{MASK, Masks};

fn masks(secrets: &[&str]) -> Masks {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    Masks::new(&secrets).unwrap()
}

fn in_pieces(masks: &Masks, pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut masker = masks.masker();
    for piece in pieces {
        masker.push(piece, &mut out);
    }
    masker.finish(&mut out);
    out
}

/// The slow and obvious way: every occurrence anywhere, union, replace.
fn slowly(secrets: &[&str], text: &[u8]) -> Vec<u8> {
    let patterns = super::variants::of_all(secrets.iter().copied());
    let mut covered = vec![false; text.len()];
    for pattern in &patterns.plain {
        for start in 0..text.len() {
            if text[start..].starts_with(pattern) {
                covered[start..start + pattern.len()].fill(true);
            }
        }
    }
    for pattern in &patterns.base64 {
        for start in 0..text.len() {
            cover_wrapped(pattern, text, start, &mut covered);
        }
    }
    let mut out = Vec::new();
    for at in 0..text.len() {
        if !covered[at] {
            out.push(text[at]);
        } else if at == 0 || !covered[at - 1] {
            out.extend_from_slice(MASK);
        }
    }
    out
}

/// One occurrence that begins at `start`, with line breaks and blanks after them in it.
fn cover_wrapped(pattern: &[u8], text: &[u8], start: usize, covered: &mut [bool]) {
    let (mut at, mut read, mut from, mut is_after_break) = (start, 0, start, false);
    while read < pattern.len() {
        match text.get(at) {
            Some(byte) if *byte == pattern[read] => {
                read += 1;
                is_after_break = false;
            }
            Some(b'\n' | b'\r') if read > 0 => {
                is_after_break = true;
                if read < super::wrapped::MIN_HELD {
                    from = usize::MAX;
                }
            }
            Some(b' ' | b'\t') if is_after_break => {}
            _ => return,
        }
        if from == usize::MAX && text.get(at).is_some_and(|byte| super::wrapped::is_base64(*byte)) {
            from = at;
        }
        at += 1;
    }
    covered[from..at].fill(true);
}

#[test]
fn overlapping_secrets_leave_nothing_behind() {
    let shown = |secrets: &[&str], text: &str| masks(secrets).apply(text);
    assert_eq!(shown(&["hunter2", "hunter2-prod-key"], "t=hunter2-prod-key;"), "t=****;");
    assert_eq!(shown(&["alphaBETA", "BETAgamma"], "alphaBETAgamma"), "****");
    assert_eq!(shown(&["hunter2"], "hunter2hunter2 hunter2"), "**** ****");
}

#[test]
fn a_secret_in_two_writes_is_masked_and_a_prompt_is_shown_at_once() {
    let masks = masks(&["hunter2"]);
    let (mut out, mut masker) = (Vec::new(), masks.masker());
    masker.push(b"Password: hun", &mut out);
    assert_eq!(out, b"Password: ");
    masker.push(b"ter", &mut out);
    assert_eq!(out, b"Password: ");
    masker.push(b"2\n", &mut out);
    assert_eq!(out, b"Password: ****\n");
    masker.push(b"hunt", &mut out);
    masker.push(b"ing", &mut out);
    assert_eq!(out, b"Password: ****\nhunting");
    masker.push(b"hunter", &mut out);
    masker.finish(&mut out);
    assert_eq!(out, b"Password: ****\nhuntinghunter");
}

#[test]
fn short_and_common_values_are_left_alone() {
    let masks = masks(&["abc", "true", "False", "", "    ", "\n\n\n\n"]);
    assert_eq!(masks.apply("abc true False     \n\n\n\n"), "abc true False     \n\n\n\n");
    assert!(masks.0.is_none(), "nothing to look for is a straight copy");
}

#[test]
fn lines_and_encodings_of_a_secret_are_masked() {
    let secret = "first line&<\"\n  second/line+\n";
    let masks = masks(&[secret]);
    for shown in [
        "first line&<\"\r\n",
        "| second/line+ |",
        "first%20line%26%3C%22",
        "first+line%26%3C%22",
        "first%20line%26%3c%22",
        "first line&<\\\"\\n  second/line+",
        "second\\/line+",
    ] {
        let masked = masks.apply(shown);
        assert!(!masked.contains("line"), "{shown} became {masked}");
    }
    use base64::Engine as _;
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}second/line+{before}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
        let masked = masks.apply(&encoded);
        assert!(masked.contains("****"), "{encoded} became {masked}");
        assert!(masked.len() < 4 + 12, "{encoded} became {masked}");
    }
}

#[test]
fn many_long_secrets_use_the_compact_automaton_alike() {
    let secrets: Vec<String> = (0..200).map(|n| format!("secret-number-{n:05}-{n}")).collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let masks = masks(&secrets);
    assert_eq!(masks.apply("a secret-number-00042-42 b"), "a **** b");
    assert_eq!(in_pieces(&masks, &[b"secret-number-", b"00199-199"]), MASK);
}

proptest! {
    #[test]
    fn any_chunking_gives_what_masking_the_whole_gives(
        secrets in prop::collection::vec("[ab]{4,7}|[a-c]{4,12}|hunter[0-9]{1,3}|a\nb{4,5}", 0..6),
        words in prop::collection::vec("[ab]{0,9}|[a-c]{0,6}|hunter[0-9]{0,4}|\n|x{0,300}", 0..30),
        picks in prop::collection::vec((0_usize..6, 0_usize..30), 0..6),
        cuts in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let mut words = words;
        for (secret, place) in picks {
            if let Some(secret) = secrets.get(secret) {
                words.insert(place.min(words.len()), (*secret).to_owned());
            }
        }
        let text = words.concat().into_bytes();
        let masks = masks(&secrets);
        let whole = in_pieces(&masks, &[&text]);
        prop_assert_eq!(&whole, &slowly(&secrets, &text));
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest: &[u8] = &text;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(&in_pieces(&masks, &pieces), &whole);
        for secret in secrets {
            if secret.len() >= 4 {
                let found = whole.windows(secret.len()).any(|window| window == secret.as_bytes());
                prop_assert!(!found, "{:?} survived", secret);
            }
        }
    }
}

/// Every form of a value, and its base64 wrapped at `column` and indented by `indent`.
fn all_forms(secret: &str, column: usize, indent: usize) -> Vec<String> {
    use base64::Engine as _;
    let mut forms: Vec<String> = super::variants::encodings(secret).collect();
    for before in ["", "x", "xy", "a longer text before it, "] {
        let text = format!("{before}{secret}");
        for engine in
            [base64::engine::general_purpose::STANDARD, base64::engine::general_purpose::URL_SAFE]
        {
            let encoded = engine.encode(&text).into_bytes();
            let lines: Vec<_> = encoded.chunks(column).map(String::from_utf8_lossy).collect();
            for line_break in ["\n", "\r\n"] {
                forms.push(lines.join(&format!("{line_break}{}", " ".repeat(indent))));
            }
        }
    }
    forms
}

#[test]
fn base64_is_masked_at_whatever_column_it_is_wrapped() {
    let secret = "correct horse battery staple, and a second sentence of it";
    let masks = masks(&[secret]);
    for column in 1..100 {
        for form in all_forms(secret, column, column % 5) {
            let masked = masks.apply(&form);
            let shown = masked.rsplit_once("****").unwrap_or_else(|| panic!("{form:?}"));
            // What stood before it, at most three characters of it, and its padding.
            let before = if form.split_whitespace().collect::<String>().starts_with("YSBsb25nZXI") {
                40
            } else {
                8
            };
            let count =
                |text: &str| text.bytes().filter(|byte| super::wrapped::is_base64(*byte)).count();
            assert!(count(shown.0) < before && count(shown.1) <= 1, "{form:?} became {masked:?}");
        }
    }
}

#[test]
fn a_line_that_ends_as_an_encoded_secret_begins_is_shown_at_once() {
    let masks = masks(&["hunter2"]);
    let (mut out, mut masker) = (Vec::new(), masks.masker());
    // `aHVudGVyMg==` begins with what this line ends with.
    masker.push(b"waiting for aHV\n", &mut out);
    assert_eq!(out, b"waiting for aHV\n");
    masker.push(b"udGVyMg==\n", &mut out);
    assert_eq!(out, b"waiting for aHV\n****g==\n");
    masker.push(b"aHVu\n", &mut out);
    assert_eq!(out, b"waiting for aHV\n****g==\n", "this may be one");
    masker.push(b"no\n", &mut out);
    assert_eq!(out, b"waiting for aHV\n****g==\naHVu\nno\n");
}

proptest! {
    #[test]
    fn no_form_depends_on_where_writes_are_split(
        secret in "[a-zA-Z0-9 '\"<>&+/=$!\\\\üß😀\n\t]{4,40}",
        column in 1_usize..80,
        indent in 0_usize..4,
        pick in any::<prop::sample::Index>(),
        around in "[a-zA-Z0-9 =\n]{0,20}",
        cuts in prop::collection::vec(1_usize..30, 1..20),
    ) {
        let forms = all_forms(&secret, column, indent);
        let text = format!("{around}{}{around}", forms[pick.index(forms.len())]).into_bytes();
        let masks = masks(&[&secret]);
        let whole = in_pieces(&masks, &[&text]);
        prop_assert_eq!(&whole, &slowly(&[&secret], &text));
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest: &[u8] = &text;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(&in_pieces(&masks, &pieces), &whole);
        if masks.0.is_some() {
            prop_assert!(String::from_utf8_lossy(&whole).contains("****"));
        }
    }
}
