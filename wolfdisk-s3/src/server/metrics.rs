//! What the gateway counts, for Prometheus: `/metrics` on the admin address.
//!
//! Labels are words of fixed lists, never a bucket, a key or an access key: nobody can make the numbers many.

use std::fmt::Error;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::{Extensions, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use wolfdisk_admin::{Page, tell_process, tell_volume};
use wolfdisk_client::Level;

use crate::store::Store;

/// Bounds of the durations that are told apart, in seconds: from an answer out of memory to a large upload.
const DURATIONS_S: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0,
];
/// The operation of a request that did not get so far as to be one.
const NO_OPERATION: &str = "none";
/// The status of a request whose client went away before there was an answer.
const NO_STATUS: &str = "none";
/// What the names of its own numbers begin with.
pub const PREFIX: &str = "wolfdisk_s3";

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Connections,
}

/// What is counted of connections. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// That are open.
    pub open: Gauge,
    /// That were accepted.
    pub accepted: Counter,
    /// That were ended by the gateway.
    pub ended: Family<EndLabels, Counter>,
    /// Bytes that came.
    pub received: Counter,
    /// Bytes that went.
    pub sent: Counter,
}

/// Why a connection was ended by the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

impl Connections {
    /// One is not served, because its address has too many.
    pub fn refused(&self) {
        self.end("too_many");
    }

    /// The head of a request did not come in time, be it the first or a further one.
    pub fn cut_for_head(&self) {
        self.end("no_head");
    }

    /// The body of a request came too slowly.
    pub fn cut_for_body(&self) {
        self.end("slow_body");
    }

    /// An answer was taken too slowly.
    pub fn cut_for_answer(&self) {
        self.end("slow_answer");
    }

    fn end(&self, reason: &'static str) {
        self.ended.get_or_create(&EndLabels { reason }).inc();
    }
}

impl Metrics {
    /// Of a gateway over this store. Nothing is counted yet.
    pub fn new(store: Store) -> Metrics {
        let durations: fn() -> Histogram = || Histogram::new(DURATIONS_S);
        let mut inner = Inner {
            registry: Registry::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            connections: Connections::default(),
        };
        inner.register();
        inner.registry.register_collector(Box::new(Now(store)));
        Metrics(Arc::new(inner))
    }

    /// What is counted of connections.
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// A request has come. It is counted when what is given is dropped.
    pub fn begin(&self, extensions: &mut Extensions) -> Running {
        let named = Named::default();
        extensions.insert(named.clone());
        self.0.in_flight.inc();
        Running {
            metrics: self.clone(),
            named,
            start: Instant::now(),
            status: NO_STATUS,
        }
    }

    /// All of it, as `/metrics` says it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<String, Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Inner {
    fn register(&mut self) {
        let (registry, connections) = (&mut self.registry, &self.connections);
        let s3 = registry.sub_registry_with_prefix(PREFIX);
        s3.register(
            "requests",
            "Requests by operation and class of status; none: it did not get so far",
            self.requests.clone(),
        );
        s3.register_with_unit(
            "request_duration",
            "From a request's head to its answer's head",
            Unit::Seconds,
            self.seconds.clone(),
        );
        s3.register(
            "requests_in_flight",
            "Requests that have no answer yet",
            self.in_flight.clone(),
        );
        s3.register(
            "connections_open",
            "Connections that are open",
            connections.open.clone(),
        );
        s3.register(
            "connections",
            "Connections that were accepted",
            connections.accepted.clone(),
        );
        s3.register(
            "connections_ended",
            "Connections that the gateway ended, by reason",
            connections.ended.clone(),
        );
        s3.register_with_unit(
            "received",
            "What came on connections",
            Unit::Bytes,
            connections.received.clone(),
        );
        s3.register_with_unit(
            "sent",
            "What went on connections",
            Unit::Bytes,
            connections.sent.clone(),
        );
    }
}

/// The name of an operation, told by it to whoever counts the request.
#[derive(Clone, Debug, Default)]
struct Named(Arc<OnceLock<&'static str>>);

/// The request with these extensions is for this operation.
pub fn name(extensions: &Extensions, operation: &'static str) {
    if let Some(named) = extensions.get::<Named>() {
        // The first name counts.
        named.0.get_or_init(|| operation);
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Running {
    metrics: Metrics,
    named: Named,
    start: Instant,
    status: &'static str,
}

impl Running {
    /// There is an answer.
    pub fn answered(mut self, status: StatusCode) {
        self.status = class(status);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let inner = &self.metrics.0;
        let operation = self.named.0.get().copied().unwrap_or(NO_OPERATION);
        let status = self.status;
        inner.in_flight.dec();
        inner
            .requests
            .get_or_create(&RequestLabels { operation, status })
            .inc();
        inner
            .seconds
            .get_or_create(&OperationLabels { operation })
            .observe(self.start.elapsed().as_secs_f64());
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "1xx",
    }
}

/// What is looked at when it is asked for: what the volume counts, and of the process.
#[derive(Debug)]
struct Now(Store);

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        tell_process(&mut encoder)?;
        let mut page = Page::new(encoder, PREFIX);
        let levels = self.0.levels().into_iter().map(Level::parts);
        let states = self.0.session_state().among_all();
        tell_volume(&mut page, self.0.counters(), levels, states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_class() {
        for (status, wanted) in [
            (100, "1xx"),
            (204, "2xx"),
            (303, "3xx"),
            (404, "4xx"),
            (507, "5xx"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(class(status), wanted);
        }
    }
}
