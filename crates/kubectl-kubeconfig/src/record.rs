//! Records of the server, and their display.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use api::ext::{Kubeconfig, kubeconfig};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use machinery::human_duration::human_duration;
use serde::Deserialize;

use crate::access::Access;
use crate::http_client::Content;

/// Time before its expiry from which a record is shown as `Expiring`. For a short-lived record it
/// is a quarter of the lifetime.
const SOON: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
struct List {
    items: Vec<Kubeconfig>,
}

/// Returns the records that the user may see, by name.
pub(crate) async fn all(access: &Access) -> Result<BTreeMap<String, Kubeconfig>> {
    let answer = access.ask(Method::GET, "", Content::None).await?;
    let list: List = answer
        .json()
        .context("the list of kubeconfigs is invalid")?;
    let named = |it: Kubeconfig| (it.metadata.name.clone().unwrap_or_default(), it);
    Ok(list.items.into_iter().map(named).collect())
}

/// Returns the expiry of the tokens of a record, or `None` if it has no TTL.
fn expiry(record: &Kubeconfig) -> Option<Timestamp> {
    let created = record.metadata.creation_timestamp.as_ref()?.0;
    let expiry = created.checked_add(ttl(record)).unwrap_or(Timestamp::MAX);
    Some(expiry).filter(|_| record.spec.ttl > 0)
}

fn ttl(record: &Kubeconfig) -> SignedDuration {
    SignedDuration::from_secs(record.spec.ttl)
}

/// Returns the remaining lifetime of a record, in the duration format of kubectl.
pub(crate) fn expires(record: &Kubeconfig, now: Timestamp) -> String {
    match expiry(record) {
        None => "<unknown>".to_owned(),
        Some(expiry) if expiry <= now => "0s".to_owned(),
        Some(expiry) => human_duration(expiry.duration_since(now).as_secs()),
    }
}

/// Returns the state of a record, in one word.
pub(crate) fn state(record: &Kubeconfig, now: Timestamp) -> &'static str {
    let left = expiry(record).map(|expiry| expiry.duration_since(now));
    match (record.status.summary.as_str(), left) {
        _ if record.metadata.deletion_timestamp.is_some() => "Deleting",
        (kubeconfig::SUMMARY_ERROR, _) => "Error",
        (kubeconfig::SUMMARY_PENDING, _) => "Pending",
        (_, Some(left)) if left <= SignedDuration::ZERO => "Expired",
        _ if record.spec.is_suspended() => "Suspended",
        (_, Some(left)) if left <= SOON.min(ttl(record) / 4) => "Expiring",
        _ => "Active",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, summary: &str, now: &str, expected: (&str, &str)) {
        let record: Kubeconfig = serde_json::from_value(json!({
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": spec,
            "status": { "summary": summary },
        }))
        .unwrap();
        let now = now.parse().unwrap();
        assert_eq!(
            (expires(&record, now).as_str(), state(&record, now)),
            expected
        );
    }

    #[test]
    fn a_record_is_told_in_a_word() {
        let week = json!({ "ttl": 7 * 86_400 });
        check(
            week.clone(),
            "Complete",
            "2026-01-01T00:00:00Z",
            ("7d", "Active"),
        );
        check(
            week.clone(),
            "Complete",
            "2026-01-07T00:00:00Z",
            ("24h", "Expiring"),
        );
        check(
            week.clone(),
            "Complete",
            "2026-01-08T00:00:00Z",
            ("0s", "Expired"),
        );
        check(
            week.clone(),
            "Pending",
            "2026-01-01T00:00:00Z",
            ("7d", "Pending"),
        );
        let hour = json!({ "ttl": 3_600 });
        check(
            hour.clone(),
            "Complete",
            "2026-01-01T00:44:59Z",
            ("15m", "Active"),
        );
        check(
            hour,
            "Complete",
            "2026-01-01T00:45:00Z",
            ("15m", "Expiring"),
        );
        check(week, "Error", "2026-01-01T00:00:00Z", ("7d", "Error"));
        let suspended = json!({ "ttl": 7 * 86_400, "suspended": true });
        check(
            suspended,
            "Complete",
            "2026-01-01T00:00:00Z",
            ("7d", "Suspended"),
        );
        check(
            json!({}),
            "Complete",
            "2026-01-01T00:00:00Z",
            ("<unknown>", "Active"),
        );
    }
}
