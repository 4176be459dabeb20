//! Converts the result of a probe to the cluster's status.

use std::error::Error;

use api::Condition;
use api::management::Cluster;
use api::management::cluster::{ClusterEndpoints, ClusterStatus, ClusterVersion};
use http::StatusCode;
use jiff::Timestamp;
use machinery::meta::Time;

use crate::upstream::{CertificateProblem, UpstreamError};

/// The reason of `Ready` if the gateway has no credential.
pub const NO_CREDENTIAL: &str = "NoCredential";

/// The reason of `Ready` if the credential is not bound to the cluster and its connection.
pub const CREDENTIAL_NOT_BOUND: &str = "CredentialNotBound";

/// The result of a probe.
#[derive(Debug)]
pub(super) enum Finding {
    Connected {
        version: String,
    },
    CannotImpersonate {
        version: String,
        /// The first resource that the gateway may not impersonate.
        what: String,
    },
    /// The cluster answered with an error that may be temporary.
    Failing(StatusCode),
    /// The server is not a Kubernetes API server.
    NotKubernetes(StatusCode),
    TooSlow,
    /// The cluster did not answer.
    Error(UpstreamError),
}

impl Finding {
    /// Converts an error. Returns `None` if it says nothing about the cluster.
    pub(super) fn of_error(error: UpstreamError) -> Option<Self> {
        match error {
            UpstreamError::NoCluster
            | UpstreamError::Busy
            | UpstreamError::BusyWithUser
            | UpstreamError::Unread
            | UpstreamError::NotProcessed(_)
            | UpstreamError::RequestBody(_) => None,
            error => Some(Self::Error(error)),
        }
    }

    pub(super) fn too_slow() -> Self {
        Self::TooSlow
    }
}

/// The status to be written to a cluster.
#[derive(Debug)]
pub(super) struct Observation {
    status: &'static str,
    reason: &'static str,
    message: String,
    /// `None` if it is unknown; the status keeps the previous version.
    version: Option<String>,
    /// The host names of the cluster, if it has any.
    endpoints: Option<ClusterEndpoints>,
    /// The cause of the error, for the log.
    cause: Option<String>,
}

impl Observation {
    /// Returns the observation of the cluster that this server runs in. A client that can read it
    /// has reached the cluster.
    pub(super) fn local() -> Self {
        Self {
            ..Self::new(
                Condition::TRUE,
                "Connected",
                "this server runs in the cluster",
            )
        }
    }

    /// Returns the observation for a probe's result at the cluster of this name.
    pub(super) fn of(finding: Finding, cluster: &str) -> Self {
        let again = format!("run `kubeconfig-apiserver cluster add {cluster}` again");
        let bind = format!("`kubeconfig-apiserver cluster bind {cluster}`");
        let bad = |reason, message: String| Self::new(Condition::FALSE, reason, message);
        match finding {
            Finding::Connected { version } => Self {
                version: Some(version),
                ..Self::new(
                    Condition::TRUE,
                    "Connected",
                    "the cluster responds and permits the gateway to impersonate users",
                )
            },
            Finding::CannotImpersonate { version, what } => Self {
                version: Some(version),
                ..bad(
                    "CannotImpersonate",
                    format!(
                        "the gateway's credential may not impersonate {what} there, so requests of users are rejected: {again}, or apply deploy/downstream/ there"
                    ),
                )
            },
            Finding::Failing(code) => bad(
                "Unreachable",
                format!("the API of the cluster responds {code}: check the cluster"),
            ),
            Finding::NotKubernetes(code) => bad(
                "Unreachable",
                format!(
                    "the server at spec.connection.server responds {code} but is not a Kubernetes API server: correct the address"
                ),
            ),
            Finding::TooSlow => bad("Slow", "the cluster takes too long to respond".to_owned()),
            Finding::Error(error) => Self {
                cause: cause(&error),
                ..Self::of_error(&error, &again, &bind)
            },
        }
    }

    fn of_error(error: &UpstreamError, again: &str, bind: &str) -> Self {
        let bad = |reason, message: String| Self::new(Condition::FALSE, reason, message);
        match error {
            UpstreamError::NoConnection | UpstreamError::NoCluster => Self::new(
                Condition::UNKNOWN,
                "NoConnection",
                format!(
                    "{error}: the gateway does not serve the cluster until spec.connection is set"
                ),
            ),
            UpstreamError::Malformed(field) => bad(
                "NoConnection",
                format!("spec.connection.{field} is invalid: correct it"),
            ),
            UpstreamError::NoCredential => bad(
                NO_CREDENTIAL,
                format!(
                    "spec.connection.credentialSecretRef does not refer to a credential: {again}"
                ),
            ),
            UpstreamError::CredentialNotBound(unowned) => bad(
                CREDENTIAL_NOT_BOUND,
                format!("{unowned}, so the credential is not sent: {again}, or {bind}"),
            ),
            UpstreamError::AddressRefused => bad(
                "Unreachable",
                format!("{error}: correct spec.connection.server"),
            ),
            UpstreamError::Unreachable(_) | UpstreamError::Interrupted(_) => bad(
                "Unreachable",
                format!("{error}: check spec.connection.server and the network in between"),
            ),
            UpstreamError::ProxyFailed(_) => bad(
                "Unreachable",
                format!("{error}: check spec.connection.proxyURL"),
            ),
            UpstreamError::WrongCertificate(problem, _) => {
                bad("WrongCertificate", format!("{error}: {}", remedy(*problem)))
            }
            UpstreamError::CredentialRefused => {
                bad("CredentialRefused", format!("{error}: {again}"))
            }
            UpstreamError::Slow(_)
            | UpstreamError::Busy
            | UpstreamError::BusyWithUser
            | UpstreamError::Unread
            | UpstreamError::NotProcessed(_)
            | UpstreamError::RequestBody(_) => bad("Slow", error.to_string()),
        }
    }

    fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
            version: None,
            endpoints: None,
            cause: None,
        }
    }

    /// Sets the host names of the cluster.
    pub(super) fn name(&mut self, endpoints: Option<ClusterEndpoints>) {
        self.endpoints = endpoints;
    }

    /// Returns whether the cluster is fully usable.
    pub(super) fn is_connected(&self) -> bool {
        self.status == Condition::TRUE
    }

    /// Appends an additional problem to the message.
    pub(super) fn add_trouble(&mut self, trouble: Option<String>) {
        if let Some(trouble) = trouble {
            self.message = format!("{}; {trouble}", self.message);
        }
    }

    /// Writes it into a cluster. Returns whether anything has changed.
    pub(super) fn write_into(&self, cluster: &mut Cluster, now: Timestamp) -> bool {
        let before = cluster.status.clone();
        let status = &mut cluster.status;
        status.observed_generation = cluster.metadata.generation.unwrap_or_default();
        if let Some(connection) = &cluster.spec.connection {
            status.api_endpoint.clone_from(&connection.server);
            status.ca_cert.clone_from(&connection.ca_data);
        }
        // Emptied instead of removed: the host's objects keep fields that a write leaves out.
        if self.endpoints.is_some() || status.endpoints.is_some() {
            status.endpoints = Some(self.endpoints.clone().unwrap_or_default());
        }
        if let Some(version) = &self.version {
            status.version = Some(ClusterVersion {
                git_version: version.clone(),
            });
        }
        let condition = self.condition(&before, now);
        match status
            .conditions
            .iter_mut()
            .find(|it| it.type_ == condition.type_)
        {
            Some(existing) => *existing = condition,
            None => status.conditions.push(condition),
        }
        if *status == before {
            return false;
        }
        for condition in status
            .conditions
            .iter_mut()
            .filter(|it| it.type_ == ClusterStatus::READY)
        {
            condition.last_update_time = Some(Time(now));
        }
        true
    }

    /// Returns the condition to be written. Keeps the time of the last update.
    fn condition(&self, before: &ClusterStatus, now: Timestamp) -> Condition {
        let before = before.ready();
        let is_same = before.is_some_and(|before| before.status == self.status);
        let since = before.and_then(|before| before.last_transition_time.clone());
        Condition {
            type_: ClusterStatus::READY.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            last_transition_time: since.filter(|_| is_same).or(Some(Time(now))),
            last_update_time: before.and_then(|before| before.last_update_time.clone()),
        }
    }

    /// Logs it for administrators, with the cause, which clients do not see.
    pub(super) fn log(&self, cluster: &str) {
        let cause = self.cause.as_deref().unwrap_or_default();
        tracing::info!(
            cluster,
            ready = self.status,
            reason = self.reason,
            cause,
            "probed a cluster"
        );
    }
}

fn remedy(problem: CertificateProblem) -> &'static str {
    match problem {
        CertificateProblem::Authority => {
            "correct spec.connection.caData, or find out which server responds there"
        }
        CertificateProblem::Name => "correct spec.connection.server or tlsServerName",
        CertificateProblem::Time => "renew it, or correct the clocks",
        CertificateProblem::Other => "see the log of the server",
    }
}

fn cause(error: &UpstreamError) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}
