//! Waits until the server reports whether it reaches a cluster.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use api::Condition;
use api::management::cluster::ClusterStatus;
use gateway::prober::{CREDENTIAL_NOT_BOUND, NO_CREDENTIAL};
use tokio::time::{Instant, sleep};

use super::Server;
use super::records::{self, Record};

/// Time for the server to report.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interval between checks of the cluster's status.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits until the server reports that it reaches the cluster, or the reason why it does not. An
/// unchanged condition from `before` is accepted only if it is `True`, or when the time is up.
///
/// # Errors
/// Returns the reason if the server does not reach the cluster.
pub(super) async fn wait(
    server: &Server<'_>,
    name: &str,
    before: Option<ClusterStatus>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let before = before.and_then(|status| status.ready().cloned());
    server.say(format_args!(
        "server: waiting until the server reaches cluster {name}"
    ));
    loop {
        let record = records::cluster(server, name).await?;
        let record =
            record.with_context(|| format!("cluster {name} was deleted in the meantime"))?;
        let is_late = Instant::now() >= deadline;
        match verdict(&record, before.as_ref()) {
            Some(condition) if condition.is_true() => {
                let version = version(&record);
                server.say(format_args!("cluster {name} is Ready{version}"));
                return Ok(());
            }
            Some(condition) => return Err(refusal(name, condition)),
            None if is_late => return Err(late(name, &record)),
            None => sleep(PAUSE).await,
        }
    }
}

/// The reasons that the server may report before it has read the Secret, which is written after the
/// Cluster object.
const EARLY: [&str; 2] = [NO_CREDENTIAL, CREDENTIAL_NOT_BOUND];

/// Returns the condition of the current connection. `None` until the server has checked the
/// connection.
fn verdict<'a>(record: &'a Record, before: Option<&Condition>) -> Option<&'a Condition> {
    let status = record.status.as_ref()?;
    let condition = status.ready()?;
    let is_current = status.observed_generation >= record.metadata.generation.unwrap_or_default();
    let is_news = before != Some(condition);
    let is_early = EARLY.contains(&condition.reason.as_str());
    let counts = condition.is_true() || (is_news && !is_early);
    (is_current && counts).then_some(condition)
}

fn version(record: &Record) -> String {
    let status = record.status.as_ref();
    let version = status.and_then(|status| status.version.as_ref());
    version
        .map(|version| format!(", {}", version.git_version))
        .unwrap_or_default()
}

fn late(name: &str, record: &Record) -> anyhow::Error {
    let status = record.status.as_ref();
    match status.and_then(|status| status.ready()) {
        Some(condition) => refusal(name, condition),
        None => anyhow!(
            "cluster {name} is registered, but the server has not reported within {} s whether it reaches the cluster",
            PATIENCE.as_secs()
        ),
    }
}

fn refusal(name: &str, condition: &Condition) -> anyhow::Error {
    anyhow!(
        "cluster {name} is registered, but not Ready: {}: {}",
        condition.reason,
        condition.message
    )
}

#[cfg(test)]
mod tests {
    use api::management::cluster::ClusterSpec;
    use serde_json::json;

    use super::*;

    /// Returns a cluster of generation 2 with a condition for the generation `observed`.
    fn record(observed: i64, status: &str) -> Record {
        let mut record = Record::new("prod", &records::resource(), ClusterSpec::default());
        record.metadata.generation = Some(2);
        record.status = serde_json::from_value(json!({
            "observedGeneration": observed,
            "conditions": [{ "type": "Ready", "status": status }],
        }))
        .unwrap();
        record
    }

    #[track_caller]
    fn check(record: &Record, before: Option<&str>, expected: bool) {
        let before = before.map(|status| Condition {
            type_: ClusterStatus::READY.to_owned(),
            status: status.to_owned(),
            ..Condition::default()
        });
        assert_eq!(verdict(record, before.as_ref()).is_some(), expected);
    }

    #[test]
    fn only_what_is_said_of_the_connection_as_it_is_now_counts() {
        let mut silent = record(2, "True");
        silent.status = None;
        check(&silent, None, false);
        check(&record(1, "True"), None, false);
        check(&record(2, "True"), None, true);
        check(&record(2, "False"), None, true);
        // An earlier success is accepted, while an earlier failure may be outdated.
        check(&record(2, "True"), Some("True"), true);
        check(&record(2, "False"), Some("True"), true);
        check(&record(2, "False"), Some("False"), false);
    }
}
