//! The connection metrics of a listener.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The connection metrics. Clones share their counters.
#[derive(Clone, Default)]
pub struct ConnectionMetrics {
    open: Gauge,
    ended: Family<EndLabels, Counter>,
}

/// The reason why the server ended a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EndReason {
    /// No request was in flight for too long, or a head took too long.
    Idle,
    /// The connection made room for another one.
    Evicted,
    /// The client used too much memory before it was authenticated.
    Memory,
    /// No slot was free.
    Refused,
    /// The connection was in the reserve, and its request was not for a health endpoint.
    Reserve,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndLabels {
    reason: &'static str,
}

impl EndReason {
    fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Memory => "memory",
            Self::Refused => "refused",
            Self::Reserve => "reserve",
        }
    }
}

impl ConnectionMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "apiserver_open_connections",
            "Open connections",
            self.open.clone(),
        );
        registry.register(
            "apiserver_ended_connections",
            "Connections that the server closed or rejected, by reason",
            self.ended.clone(),
        );
    }

    pub(super) fn opened(&self) {
        self.open.inc();
    }

    pub(super) fn closed(&self) {
        self.open.dec();
    }

    pub(super) fn ended(&self, reason: EndReason) {
        let reason = reason.label();
        self.ended.get_or_create(&EndLabels { reason }).inc();
    }
}

impl fmt::Debug for ConnectionMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectionMetrics")
            .finish_non_exhaustive()
    }
}
