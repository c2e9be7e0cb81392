//! Numbers of sign-ins with a password.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// Numbers of sign-ins with a password since the server started.
#[derive(Debug, Default)]
pub(crate) struct SignInMeters {
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    /// Sign-ins that were not tried, since too many failed before.
    pub(crate) slowed: Counter,
}

impl SignInMeters {
    /// Adds the numbers to what is told.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Self { succeeded, failed, slowed } = self;
        let results = Family::<ByResult, Counter>::default();
        for (result, number) in [("succeeded", succeeded), ("failed", failed), ("slowed", slowed)] {
            results.get_or_create(&ByResult { result }).inc_by(number.get());
        }
        let help = "Attempts to sign in with a password: `slowed` ones were not made, since too many \
                    failed before";
        registry.register("sign_ins", help, results);
    }
}
