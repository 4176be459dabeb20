//! The health endpoints: `/livez`, `/readyz` and `/healthz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode};

use crate::query::Query;
use crate::respond;

/// The health endpoints. Anonymous callers may reach them.
pub const PATHS: [&str; 3] = ["/livez", "/readyz", "/healthz"];

/// Returns the endpoint of a path and the name of the check below it.
fn parse_path(path: &str) -> Option<(&'static str, Option<&str>)> {
    PATHS.iter().find_map(|endpoint| {
        let rest = path.strip_prefix(endpoint)?;
        match rest {
            "" => Some((&endpoint[1..], None)),
            rest => Some((&endpoint[1..], Some(rest.strip_prefix('/')?))),
        }
    })
}

/// Returns whether this path is a health endpoint or a check below one.
pub(crate) fn is_path(path: &str) -> bool {
    parse_path(path).is_some()
}

/// One health check.
#[derive(Clone)]
pub struct HealthCheck {
    /// The name in the verbose response, and below `/readyz/`.
    pub name: &'static str,
    /// True if a failure also fails `/livez`, so that the process is restarted. A failure of any
    /// other check fails only `/readyz` and `/healthz`.
    pub vital: bool,
    /// The function that reports health. It must return promptly.
    pub check: Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// The health of a server, and its readiness for requests.
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

    /// Marks the server as not ready. It continues to serve requests.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
    }

    /// Returns the response for `/livez`, `/readyz`, `/healthz`, or a single check below one of
    /// them; `None` for any other path. `unreadable` returns the number of stored objects that
    /// cannot be read. Such objects fail no check, because all other objects are served. A verbose
    /// response warns of them.
    pub(crate) async fn answer(
        &self,
        path: &str,
        query: &Query,
        unreadable: impl Fn() -> usize,
    ) -> Option<Response<Body>> {
        let (endpoint, only) = parse_path(path)?;
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
        let unreadable = match (endpoint, only) {
            ("livez", _) | (_, Some(_)) => 0,
            _ => unreadable(),
        };
        Some(self.report(endpoint, &names, query, unreadable).await)
    }

    async fn report(
        &self,
        endpoint: &str,
        names: &[&str],
        query: &Query,
        unreadable: usize,
    ) -> Response<Body> {
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
        if unreadable > 0 {
            lines.push_str(&format!(
                "warn: {unreadable} stored objects cannot be read: the metric apiserver_unreadable_objects counts them by kind\n"
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
