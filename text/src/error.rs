//! Errors with their causes.

use std::error::Error;

/// Formats an error and its causes on one line. A cause that an error repeats in its own text, as
/// those of some libraries do, is left out.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Formats the innermost cause of an error, or the error where it has none: "connection refused"
/// instead of "error sending request".
#[must_use]
pub fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::{error_chain, root_cause};

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer { text, source }
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = layers(&["could not send", "could not connect: refused", "refused"]);
        assert_eq!(error_chain(&error), "could not send: could not connect: refused");
        assert_eq!(root_cause(&error), "refused");
        assert_eq!(root_cause(&layers(&["alone"])), "alone");
    }
}
