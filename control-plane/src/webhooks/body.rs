//! Bodies of webhooks: JSON, or a form with the JSON in its field `payload`. Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Form of a body, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    Json,
    Form,
}

impl BodyForm {
    /// Reads a content type; parameters of it do not matter.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }
}

/// Returns the JSON of a body. `None`: a form without it.
pub(crate) fn payload_text(body: &[u8], form: BodyForm) -> Option<Cow<'_, [u8]>> {
    if form == BodyForm::Json {
        return Some(Cow::Borrowed(body));
    }
    let field = body.split(|byte| *byte == b'&').find_map(|part| part.strip_prefix(b"payload="))?;
    let spaced: Vec<u8> =
        field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Some(Cow::Owned(percent_decode(&spaced).collect()))
}

#[cfg(test)]
mod tests {
    use super::{BodyForm, payload_text};

    #[test]
    fn the_payload_of_a_form_is_what_was_put_into_it() {
        let form = BodyForm::of("application/x-www-form-urlencoded; charset=utf-8").unwrap();
        let text = payload_text(b"a=1&payload=%7B%22a+b%22%3A%22%2B%C3%A9%22%7D", form).unwrap();
        assert_eq!(&*text, "{\"a b\":\"+é\"}".as_bytes());
        assert_eq!(payload_text(b"a=1", form), None);
        assert_eq!(BodyForm::of("Application/JSON"), Some(BodyForm::Json));
        assert_eq!(BodyForm::of("text/plain"), None);
    }
}
