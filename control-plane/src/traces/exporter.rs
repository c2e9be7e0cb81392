//! The way to a collector: OTLP over HTTP, with the client that everything here uses.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use reqwest::Client;

use crate::outgoing;

/// Longest time that a collector may take for a batch.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most of a collector's answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Reason why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TracesError {
    #[error("the endpoint has to begin with http:// or https://")]
    Scheme,
    #[error("the client cannot be made")]
    Client(#[from] reqwest::Error),
    #[error("the exporter cannot be made")]
    Exporter(#[from] ExporterBuildError),
}

/// Makes the exporter. `endpoint` is the base, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it; headers come from
/// `OTEL_EXPORTER_OTLP_HEADERS`, since they are secrets.
pub(super) fn make_exporter(endpoint: &str, server: &str) -> Result<SpanExporter, TracesError> {
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(TracesError::Scheme);
    }
    let client = outgoing::client_builder(EXPORT_TIMEOUT).build()?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Ours(client))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        // Its pauses would block a thread of the server.
        .with_retry_policy(RetryPolicy::disabled())
        .build()?;
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "russet"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", server.to_owned()),
        ])
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// Returns an endpoint without what may be secret in it: a user, a query.
pub(crate) fn endpoint_for_people(endpoint: &str) -> String {
    let Ok(mut url) = endpoint.parse::<reqwest::Url>() else { return "the endpoint".to_owned() };
    // An address that cannot have a user has none.
    let _done = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Our client.
#[derive(Debug)]
struct Ours(Client);

impl HttpClient for Ours {
    // As `async_trait` writes it.
    fn send_bytes<'client, 'call>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'call>>
    where
        'client: 'call,
        Self: 'call,
    {
        Box::pin(async move {
            let answer = outgoing::make_call(&self.0, request, MAX_ANSWER_BYTES).await?;
            Ok(answer.map(Bytes::from))
        })
    }
}
