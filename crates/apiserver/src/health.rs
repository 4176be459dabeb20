//! `/livez`, `/readyz` and `/healthz` (A207-A209).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode};

use crate::query::Query;
use crate::respond;

/// The paths that anybody may ask.
pub const PATHS: [&str; 3] = ["/livez", "/readyz", "/healthz"];

/// Whether a path is about health.
pub(crate) fn is_path(path: &str) -> bool {
    PATHS.iter().any(|endpoint| {
        let rest = path.strip_prefix(endpoint);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// One thing that must be well.
#[derive(Clone)]
pub struct HealthCheck {
    /// Its name in the verbose answer, and below `/readyz/`.
    pub name: &'static str,
    /// Whether the process should be restarted when it is not well; else it only gets no requests.
    pub vital: bool,
    /// Says whether it is well, soon.
    pub check: Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// Whether the server is well and wants requests.
pub struct Health {
    checks: Vec<HealthCheck>,
    shutting_down: AtomicBool,
}

impl Health {
    pub(crate) fn new(checks: Vec<HealthCheck>) -> Self {
        Self {
            checks,
            shutting_down: AtomicBool::new(false),
        }
    }

    /// From now on not ready, though still serving.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
    }

    /// Answers `/livez`, `/readyz`, `/healthz`, or one check of them below; `None` for another
    /// path.
    pub(crate) async fn answer(&self, path: &str, query: &Query) -> Option<Response<Body>> {
        let (endpoint, only) = PATHS.iter().find_map(|endpoint| {
            let rest = path.strip_prefix(endpoint)?;
            if rest.is_empty() {
                Some((&endpoint[1..], None))
            } else {
                Some((&endpoint[1..], Some(rest.strip_prefix('/')?)))
            }
        })?;
        let mut names = vec!["ping", "log"];
        names.extend(
            self.checks
                .iter()
                .filter(|check| check.vital || endpoint != "livez")
                .map(|check| check.name),
        );
        if endpoint == "readyz" {
            names.push("shutdown");
        }
        if let Some(only) = only {
            names.retain(|name| *name == only);
            if names.is_empty() {
                return None;
            }
        }
        Some(self.report(endpoint, &names, query).await)
    }

    async fn report(&self, endpoint: &str, names: &[&str], query: &Query) -> Response<Body> {
        let excluded: Vec<&str> = query.values("exclude").collect();
        let mut lines = String::new();
        let mut well = true;
        for name in names {
            if excluded.contains(name) {
                lines.push_str(&format!("[+]{name} excluded: ok\n"));
            } else if self.is_well(name).await {
                lines.push_str(&format!("[+]{name} ok\n"));
            } else {
                well = false;
                lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
            }
        }
        let unknown: Vec<String> = excluded
            .iter()
            .filter(|name| !names.contains(name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !unknown.is_empty() {
            lines.push_str(&format!(
                "warn: some health checks cannot be excluded: no matches for {}\n",
                unknown.join(",")
            ));
        }
        match (well, query.value("verbose").is_some()) {
            (true, false) => respond::text(StatusCode::OK, "ok"),
            (true, true) => {
                respond::text(StatusCode::OK, &format!("{lines}{endpoint} check passed\n"))
            }
            (false, _) => respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("{lines}{endpoint} check failed\n"),
            ),
        }
    }

    async fn is_well(&self, name: &str) -> bool {
        if name == "shutdown" {
            return !self.shutting_down.load(Ordering::Acquire);
        }
        match self.checks.iter().find(|check| check.name == name) {
            Some(check) => (check.check)().await,
            None => true,
        }
    }
}
