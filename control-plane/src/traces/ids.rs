//! Ids of traces and spans, derived from those of what they are of: each server of a database gives the
//! same, also after a restart, and keeps nothing for it.

use opentelemetry::{SpanId, TraceId};

/// Context of a call, as its header `traceparent` says
/// (<https://www.w3.org/TR/trace-context/#traceparent-header>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// The caller records its trace.
    pub(crate) is_sampled: bool,
}

impl TraceParent {
    /// Reads the header; `None` where it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| {
            text.len() == length
                && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_whole = version != "00" || parts.next().is_none();
        if !is_hex(version, 2) || version == "ff" || !is_whole {
            return None;
        }
        if !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self {
            trace,
            span,
            is_sampled,
        })
    }
}

/// Returns the id of the trace of a pipeline that no caller's trace is around.
pub(crate) fn trace_of_pipeline(pipeline: &str) -> TraceId {
    TraceId::from_bytes(derive("pipeline", pipeline))
}

/// Returns the id of the span of something.
pub(crate) fn span_of(kind: &str, id: &str) -> SpanId {
    let all: [u8; 16] = derive(kind, id);
    let mut half = [0; 8];
    half.copy_from_slice(&all[..8]);
    SpanId::from_bytes(half)
}

/// Returns bytes that are not all zero, which would be no id.
fn derive(kind: &str, id: &str) -> [u8; 16] {
    let whole = blake3::derive_key(
        "russet 2026-11 ids of traces and spans",
        format!("{kind}\0{id}").as_bytes(),
    );
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&whole[..16]);
    bytes[0] |= 1;
    bytes
}

#[cfg(test)]
mod tests {
    use super::{TraceParent, span_of, trace_of_pipeline};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_as_the_w3c_says() {
        let parent = TraceParent::parse(PARENT).unwrap();
        assert_eq!(parent.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span.to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled);
        let unsampled = PARENT.replace("-01", "-00");
        assert!(!TraceParent::parse(&unsampled).unwrap().is_sampled);
        // A later version may say more.
        assert!(TraceParent::parse(&format!("{}-more", PARENT.replacen("00", "01", 1))).is_some());
        for wrong in [
            "",
            "00",
            &format!("{PARENT}-more"),
            &PARENT.replacen("00-", "ff-", 1),
            &PARENT.replace("4bf9", "4BF9"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ids_are_the_same_each_time_and_others_for_each() {
        assert_eq!(span_of("job", "a"), span_of("job", "a"));
        assert_ne!(span_of("job", "a"), span_of("task", "a"));
        assert_eq!(trace_of_pipeline("p"), trace_of_pipeline("p"));
        assert_ne!(trace_of_pipeline("p"), trace_of_pipeline("q"));
    }
}
