//! The metrics of a server, under the names that kube-apiserver uses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::description::Description;
use crate::request_info::ResourceInfo;
use crate::server::ConnectionMetrics;

/// Upper bounds of the request duration histogram, in seconds, as in kube-apiserver.
const BUCKETS: [f64; 12] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 5.0, 30.0, 60.0,
];

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<InFlightLabels, Gauge>,
    broken: Family<KindLabels, Gauge>,
    refused: Family<RefusalLabels, Counter>,
    /// The connection metrics of the listener.
    pub(crate) connections: ConnectionMetrics,
    /// The number of requests that panicked.
    pub(crate) panics: Counter,
}

/// A counter of the program that the metrics of a server include.
#[derive(Clone)]
pub struct Count {
    /// The name, without `_total`.
    pub name: &'static str,
    /// The help text: one line, without a full stop.
    pub help: &'static str,
    /// The function that returns the current value.
    pub read: Arc<dyn Fn() -> u64 + Send + Sync>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DurationLabels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    scope: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabels {
    group: &'static str,
    resource: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefusalLabels {
    priority_level: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct InFlightLabels {
    request_kind: &'static str,
}

impl Metrics {
    pub(crate) fn new(counts: Vec<Count>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Counts(counts)));
        let requests = Family::default();
        let durations: Family<DurationLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let in_flight = Family::default();
        let broken = Family::default();
        let refused = Family::default();
        let panics = Counter::default();
        let connections = ConnectionMetrics::default();
        connections.register(&mut registry);
        registry.register(
            "apiserver_request",
            "Requests by verb, resource and code",
            requests.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Request duration in seconds, without watches",
            durations.clone(),
        );
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests in flight",
            in_flight.clone(),
        );
        registry.register(
            "apiserver_unreadable_objects",
            "Stored objects that cannot be read and are omitted from lists",
            broken.clone(),
        );
        registry.register(
            "apiserver_flowcontrol_rejected_requests",
            "Requests that were rejected with 429, by level and reason",
            refused.clone(),
        );
        registry.register(
            "apiserver_request_panics",
            "Requests that panicked",
            panics.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            in_flight,
            broken,
            refused,
            connections,
            panics,
        }
    }

    /// Counts a request that was rejected by a level.
    pub(crate) fn refused(&self, priority_level: &'static str, reason: &'static str) {
        let labels = RefusalLabels {
            priority_level,
            reason,
        };
        self.refused.get_or_create(&labels).inc();
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn in_flight(&self, mutating: bool) -> InFlight {
        let request_kind = if mutating { "mutating" } else { "readOnly" };
        let gauge = self
            .in_flight
            .get_or_create(&InFlightLabels { request_kind })
            .clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// Counts an answered request. The caller must pass only a resource that is served, so that
    /// clients cannot create time series.
    pub(crate) fn observe(
        &self,
        verb: &str,
        resource: Option<&ResourceInfo>,
        code: StatusCode,
        took: Duration,
    ) {
        let verb = verb_label(verb);
        let scope = match resource {
            None => "",
            Some(resource) if !resource.name.is_empty() => "resource",
            Some(resource) if !resource.namespace.is_empty() => "namespace",
            Some(_) => "cluster",
        };
        let ResourceInfo {
            group,
            version,
            resource,
            subresource,
            ..
        } = resource.cloned().unwrap_or_default();
        let labels = RequestLabels {
            verb,
            group: group.clone(),
            version: version.clone(),
            resource: resource.clone(),
            subresource,
            scope,
            code: code.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        if verb != "WATCH" {
            let labels = DurationLabels {
                verb,
                group,
                version,
                resource,
                scope,
            };
            self.durations
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
        }
    }

    /// Sets the number of stored objects of a kind that cannot be read.
    pub(crate) fn set_broken(&self, kind: &Description, number: usize) {
        let labels = KindLabels {
            group: kind.group,
            resource: kind.plural,
        };
        let gauge = self.broken.get_or_create(&labels);
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Encodes all metrics as Prometheus text.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// The counters that are read when the metrics are encoded.
struct Counts(Vec<Count>);

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for count in &self.0 {
            let value = ConstCounter::new((count.read)());
            let kind = value.metric_type();
            value.encode(encoder.encode_descriptor(count.name, count.help, None, kind)?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|count| count.name);
        f.debug_list().entries(names).finish()
    }
}

/// A request in flight. It is counted until it is dropped, even if its client disconnects or its
/// handler panics.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn verb_label(verb: &str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}
