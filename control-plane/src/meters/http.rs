//! Numbers of calls.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::histograms;

/// Limits of the buckets of calls' durations, in seconds. Few, since there are many routes; claims and
/// heartbeats wait for up to a minute.
const CALL_SECONDS: [f64; 7] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// A route, with the method of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    method: &'static str,
    route: String,
    status: &'static str,
}

/// Numbers of calls to this server.
#[derive(Debug)]
pub(crate) struct HttpMeters {
    requests: Family<ByStatus, Counter>,
    seconds: Family<ByRoute, Histogram>,
}

impl Default for HttpMeters {
    fn default() -> Self {
        Self { requests: Family::default(), seconds: histograms(|| Histogram::new(CALL_SECONDS)) }
    }
}

impl HttpMeters {
    /// Counts a call whose answer begins. `route` is the pattern of its path; `None` at a path without a
    /// route.
    pub(crate) fn count(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = known_method(method);
        let route = route.unwrap_or("none").to_owned();
        self.seconds
            .get_or_create(&ByRoute { method, route: route.clone() })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&ByStatus { method, route, status: status_class(status) })
            .inc();
    }

    /// Adds the numbers to what is told.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Calls, by route and by the first digit of the answer's status; `none` is the route of \
             paths at which there is nothing",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request",
            "From the head of a call to the head of its answer; claims, heartbeats and streams wait \
             for something to happen",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }
}

/// Threat: a method is a word of the caller's choice, and each would be a number of its own.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

fn status_class(status: u16) -> &'static str {
    match status {
        0..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::{known_method, status_class};

    #[test]
    fn callers_cannot_make_numbers_of_their_own() {
        assert_eq!((known_method("GET"), known_method("BREW")), ("GET", "other"));
        assert_eq!((status_class(204), status_class(503)), ("2xx", "5xx"));
    }
}
