//! The stored records: their integrity, their number, and records that should have been deleted.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use api::ext;
use host::records::{self, DateKey};
use host::sealing::{Sealing, SealingError};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt};
use storage::sealed::Keyring;

use super::report::Report;
use super::scene::Scene;
use crate::client::told;

const TOPIC: &str = "store";

/// The field selector for Secrets that are records.
const RECORDS: &str = "type=kubeconfig-apiserver.cattle.io/record";

/// The number of objects on a page, which is small enough for the host.
const PAGE: u32 = 500;

/// The maximum age of objects that are to be swept or deleted. An older one is a sign of a fault.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// The maximum number of names in a line.
const SHOWN: usize = 5;

/// Checks the namespace, its Secrets, and the records as the API serves them.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    namespace(scene, report).await;
    if scene.keeps_records_in_the_host() {
        secrets(scene, report).await;
    }
    // If the host does not reach the server, another check reports the reason.
    if scene.is_registered()
        && let Err(error) = orphans(scene, report).await
    {
        report.warning(
            TOPIC,
            format!("orphaned tokens were not checked: {error:#}"),
            "fix the problems of the APIService, and run this command again",
        );
    }
}

async fn namespace(scene: &Scene, report: &mut Report) {
    let name = &scene.namespace;
    let all = Api::<Namespace>::all(scene.host.clone());
    match all.get_opt(name).await.map_err(told) {
        Ok(Some(found)) if found.metadata.deletion_timestamp.is_some() => report.problem(
            TOPIC,
            format!("namespace {name} is being deleted"),
            "wait until it is deleted, and install the chart again; its records are lost",
        ),
        Ok(Some(_)) => report.ok(TOPIC, format!("namespace {name} exists")),
        Ok(None) => report.problem(
            TOPIC,
            format!("namespace {name} does not exist"),
            "install the chart, or set the correct --namespace",
        ),
        Err(error) => report.unseen(TOPIC, &format!("namespace {name}"), &error),
    }
}

/// Reports the number of records, and the names of those that the server ignores because it did not
/// write them.
async fn secrets(scene: &Scene, report: &mut Report) {
    let sealing = Sealing::new(scene.host.clone(), &scene.namespace);
    let keys = match sealing.find().await {
        Ok(key) => key.and_then(|key| {
            let keyring = Keyring::of_key(key.expose()).ok()?;
            Some((keyring, DateKey::of(&key).ok()?))
        }),
        Err(SealingError::Host(error)) => {
            return report.unseen(TOPIC, "the encryption key", &anyhow!(error));
        }
        Err(SealingError::Refused(problem)) => {
            report.problem(
                TOPIC,
                problem,
                "see docs/operations.md, Encryption of records",
            );
            None
        }
    };
    let all = Api::<Secret>::namespaced(scene.host.clone(), &scene.namespace);
    let params = ListParams::default().fields(RECORDS);
    let (mut number, mut foreign) = (0, Vec::new());
    let count = each(params, async |params| {
        let page = all.list(params).await.map_err(told)?;
        let records = page.items.iter().filter(|secret| !is_fence(secret));
        for record in records {
            number += 1;
            let is_foreign = |(keyring, dates): &(Keyring, DateKey)| {
                !is_sealed(record, keyring) || !is_first(record, dates)
            };
            if keys.as_ref().is_some_and(is_foreign) {
                foreign.push(record.name_any());
            }
        }
        Ok(page.metadata.continue_)
    });
    if let Err(error) = count.await {
        return report.unseen(TOPIC, "the records", &error);
    }
    report.ok(
        TOPIC,
        format!(
            "{number} records are stored as Secrets in {}",
            scene.namespace
        ),
    );
    if !foreign.is_empty() {
        report.problem(
            TOPIC,
            format!(
                "{} Secrets look like records, but the server did not write them and does not use them: {}",
                foreign.len(),
                shown(&foreign)
            ),
            "find out which accounts may write Secrets in this namespace, and delete these Secrets",
        );
    }
}

/// Returns whether the server wrote the value of this record under this key.
fn is_sealed(record: &Secret, keyring: &Keyring) -> bool {
    let key = record.annotations().get(records::KEY);
    let value = record
        .data
        .as_ref()
        .and_then(|data| data.get(records::VALUE));
    match (key, value) {
        (Some(key), Some(value)) => keyring.open_at(key, &value.0).is_some(),
        _ => false,
    }
}

/// Returns whether the Secret is the one that was created for its record.
fn is_first(record: &Secret, dates: &DateKey) -> bool {
    let annotations = record.annotations();
    let key = annotations.get(records::KEY);
    let key = key.and_then(|key| storage::Key::parse(key).ok());
    let made = record.creation_timestamp();
    match (key, annotations.get(records::MADE), made) {
        (Some(key), Some(date), Some(made)) => dates.fits(&key, date, made.0),
        _ => false,
    }
}

fn is_fence(secret: &Secret) -> bool {
    secret.metadata.name.as_deref() == Some(records::FENCE)
}

/// Reports tokens whose kubeconfig was deleted, and objects that cannot be deleted.
async fn orphans(scene: &Scene, report: &mut Report) -> Result<()> {
    let kubeconfigs = all(scene, "Kubeconfig", "kubeconfigs").await?;
    let tokens = all(scene, "Token", "tokens").await?;
    let known: BTreeSet<String> = kubeconfigs.iter().map(ResourceExt::name_any).collect();
    let is_orphan = |token: &&DynamicObject| {
        let owner = token.data.pointer("/spec/kubeconfigName");
        let owner = owner
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let made = token.metadata.creation_timestamp.as_ref();
        !owner.is_empty() && !known.contains(owner) && is_old(made.map(|made| made.0), scene.now)
    };
    let orphans = tokens.iter().filter(is_orphan).map(ResourceExt::name_any);
    let orphans: Vec<String> = orphans.collect();
    if orphans.is_empty() {
        report.ok(
            TOPIC,
            format!(
                "{} kubeconfigs have {} tokens, and no token is orphaned",
                known.len(),
                tokens.len()
            ),
        );
    } else {
        report.warning(
            TOPIC,
            format!(
                "tokens of deleted kubeconfigs are not removed: {}",
                shown(&orphans)
            ),
            "they are no longer valid; check the log of the server for why they remain",
        );
    }
    let stuck = kubeconfigs.iter().chain(&tokens);
    let stuck = stuck.filter(|object| is_stuck(&object.metadata, scene.now));
    let stuck: Vec<String> = stuck.map(ResourceExt::name_any).collect();
    if !stuck.is_empty() {
        report.warning(
            TOPIC,
            format!("deleted, but blocked by finalizers: {}", shown(&stuck)),
            "check with kubectl get -o yaml which controller owns the finalizers, and run it or remove them",
        );
    }
    Ok(())
}

async fn all(scene: &Scene, kind: &str, plural: &str) -> Result<Vec<DynamicObject>> {
    let kind = GroupVersionKind::gvk(ext::GROUP, ext::VERSION, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    let api = Api::<DynamicObject>::all_with(scene.host.clone(), &resource);
    let mut all = Vec::new();
    each(ListParams::default(), async |params| {
        let page = api.list(params).await.map_err(told)?;
        all.extend(page.items);
        Ok(page.metadata.continue_)
    })
    .await?;
    Ok(all)
}

/// Requests a list page by page.
async fn each(
    params: ListParams,
    mut ask: impl AsyncFnMut(&ListParams) -> Result<Option<String>>,
) -> Result<()> {
    let mut params = params.limit(PAGE);
    loop {
        match ask(&params).await? {
            Some(next) if !next.is_empty() => params.continue_token = Some(next),
            _ => return Ok(()),
        }
    }
}

fn is_stuck(metadata: &ObjectMeta, now: Timestamp) -> bool {
    let deleted = metadata.deletion_timestamp.as_ref().map(|at| at.0);
    let held = metadata
        .finalizers
        .as_ref()
        .is_some_and(|held| !held.is_empty());
    held && is_old(deleted, now)
}

fn is_old(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since) > PATIENCE)
}

fn shown(names: &[String]) -> String {
    let some = names.iter().take(SHOWN).map(String::as_str);
    let mut text = some.collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
