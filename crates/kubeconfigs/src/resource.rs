//! `kubeconfigs.ext.cattle.io`: the strategy of the kind.

use std::collections::HashSet;

use api::ext::{self, Kubeconfig, KubeconfigStatus, kubeconfig};
use api::management::feature;
use api::{Condition, labels};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Update, Visibility, Write, owner_visibility};
use apiserver::stored_object::{Index, Owner};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use machinery::field::{self, ErrorList, Path};
use machinery::human_duration::human_duration;
use machinery::meta::{Metadata, ObjectKey, ObjectMeta, Time};
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation;
use management::access::validate_access;
use management::record_size::{check_description, check_metadata};
use serde_json::Value;
use tokens::quota::Growth;
use tokens::suspension::Suspension;

use crate::request::{group_resource, name_of};
use crate::strategy::Kubeconfigs;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: ext::GROUP,
        version: ext::VERSION,
        kind: Kubeconfig::KIND,
        plural: Kubeconfig::PLURAL,
        singular: Kubeconfig::SINGULAR,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<Kubeconfig>(),
    }
}

/// The annotation in which `kubectl apply` stores the configuration that it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Maximum length of a cluster name, in bytes, as for any object.
const MAX_CLUSTER_NAME: usize = 253;

/// The index of records. The owner of a record is the user who created it.
pub const INDEX: Index<Kubeconfig> = Index {
    owner: |record| {
        Some(Owner {
            name: &record.status.user_name,
            uid: record.status.user_uid.as_deref().unwrap_or_default(),
        })
    },
    fields: &[
        ("spec.clusters", |record| {
            let (named, resolved) = (&record.spec.clusters, &record.status.clusters);
            named.iter().chain(resolved).cloned().collect()
        }),
        ("spec.tokenName", |record| {
            vec![record.spec.token_name.clone()]
        }),
        ("status.userName", |record| {
            vec![record.status.user_name.clone()]
        }),
    ],
    expires: Some(|record| {
        let created = record.metadata.creation_timestamp.as_ref()?.0;
        created
            .checked_add(SignedDuration::from_secs(record.spec.ttl))
            .ok()
    }),
};

const COLUMNS: [Column; 8] = [
    Column::NAME,
    Column::string("TTL", "Lifetime of the tokens of the file."),
    Column::string(
        "Tokens",
        "Number of existing tokens, out of those minted for the file.",
    ),
    Column::string("Status", "Summary of the state of the kubeconfig."),
    AGE,
    Column::string("User", "Owner of the kubeconfig.").wide(),
    Column::string("Clusters", "Clusters in the file.").wide(),
    Column::string("Description", "Description of the kubeconfig.").wide(),
];

impl Kubeconfigs {
    fn tokens_left(&self, record: &Kubeconfig) -> usize {
        let view = self.tokens.cache().view();
        let names = record.status.tokens.iter();
        names
            .filter(|name| {
                view.get(&self.tokens.key(ObjectKey::cluster(name)))
                    .is_some()
            })
            .count()
    }

    /// Keeps the server's own references to the tokens that own a record. A reference is removed
    /// only if its token is gone and the client leaves it out, as the garbage collector of a host
    /// does.
    fn keep_owners(&self, metadata: &mut ObjectMeta, live: &ObjectMeta) {
        let sent = metadata.owner_references.take().unwrap_or_default();
        let sent: HashSet<&str> = sent.iter().map(|owner| owner.uid.as_str()).collect();
        let mut owners = live.owner_references.clone().unwrap_or_default();
        owners.retain(|owner| {
            sent.contains(owner.uid.as_str())
                || self
                    .tokens
                    .cache()
                    .contains(ObjectKey::cluster(&owner.name))
        });
        metadata.owner_references = Some(owners).filter(|owners| !owners.is_empty());
    }
}

#[async_trait]
impl Resource for Kubeconfigs {
    type Object = Kubeconfig;

    fn registry(&self) -> &Registry<Kubeconfig> {
        &self.registry
    }

    fn enabled(&self) -> bool {
        self.features.enabled(feature::EXT_KUBECONFIGS)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, record: &Kubeconfig, now: Timestamp) -> Vec<Value> {
        let summary = match record.status.summary.as_str() {
            "" => "<unknown>",
            summary => summary,
        };
        vec![
            record.metadata.name.as_deref().into(),
            human_duration(record.spec.ttl).into(),
            format!(
                "{}/{}",
                self.tokens_left(record),
                record.status.tokens.len()
            )
            .into(),
            summary.into(),
            age(&record.metadata, now),
            record.status.user_name.as_str().into(),
            record.spec.clusters.join(",").into(),
            record.spec.description.as_str().into(),
        ]
    }

    /// Returns false. The server generates all names, so an apply to a name that does not exist
    /// cannot create it.
    fn creates_on_apply(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static str] {
        &["status"]
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    async fn visibility(&self, cx: &RequestContext, verb: Verb) -> Result<Visibility, Status> {
        let uid = self.users.uid(&cx.user.name);
        owner_visibility(cx, verb, &uid).await
    }

    fn prepare_create(&self, cx: &RequestContext, record: &mut Kubeconfig) -> Result<(), Status> {
        record.status = KubeconfigStatus {
            user_name: cx.user.name.clone(),
            ..KubeconfigStatus::default()
        };
        warn_of_apply(cx, &record.metadata);
        record.metadata.name = None;
        record.metadata.generate_name = Some(kubeconfig::NAME_PREFIX.to_owned());
        record.metadata.owner_references = None;
        own(&mut record.metadata, &cx.user.name);
        Ok(())
    }

    fn prepare_update(
        &self,
        cx: &RequestContext,
        record: &mut Kubeconfig,
        live: &Kubeconfig,
    ) -> Result<(), Status> {
        record.status = live.status.clone();
        self.keep_owners(&mut record.metadata, &live.metadata);
        own(&mut record.metadata, &live.status.user_name);
        let (new, old) = (&record.spec, &live.spec);
        let immutable = [
            ("spec.clusters", new.clusters == old.clusters),
            (
                "spec.currentContext",
                new.current_context == old.current_context,
            ),
            ("spec.endpoint", new.endpoint == old.endpoint),
            ("spec.access", new.access == old.access),
            ("spec.namespace", new.namespace == old.namespace),
            ("spec.tokenName", new.token_name == old.token_name),
            ("spec.ttl", new.ttl == old.ttl),
            (
                "spec.includeDefaultEntry",
                new.include_default_entry == old.include_default_entry,
            ),
            (
                "spec.generateToken",
                new.generate_token == old.generate_token,
            ),
        ];
        if let Some((field, _)) = immutable.iter().find(|(_, same)| !same) {
            return Err(Status::bad_request(format!("{field} is immutable")));
        }
        if is_changed(record, live) {
            note_update(&mut record.status, self.now());
        }
        suspension(record, live).note(cx, &mut record.status.conditions, self.now());
        Ok(())
    }

    fn validate(&self, record: &Kubeconfig, live: Option<&Kubeconfig>) -> ErrorList {
        let described = live.map(|live| live.spec.description.as_str());
        let mut errors = check_description(&record.spec.description, described);
        let path = Path::root("spec").child("clusters");
        let names = record.spec.clusters.iter().enumerate();
        if live.is_none() {
            let long = names.filter(|(_, name)| name.len() > MAX_CLUSTER_NAME);
            errors.extend(
                long.map(|(index, _)| field::Error::too_long(&path.index(index), MAX_CLUSTER_NAME)),
            );
        }
        if let (Some(access), None) = (&record.spec.access, live) {
            errors.extend(validate_access(access, &Path::root("spec").child("access")));
        }
        errors.extend(check_metadata(
            &record.metadata,
            live.map(|live| &live.metadata),
        ));
        errors
    }

    async fn meter(
        &self,
        cx: &RequestContext,
        update: Update<'_, Kubeconfig>,
    ) -> Result<(), Status> {
        let change = suspension(update.object, update.live);
        let growth = Growth::of(&update, &change);
        self.quota.update(cx, growth).await
    }

    async fn admit(&self, cx: &RequestContext, write: Write<'_, Kubeconfig>) -> Result<(), Status> {
        let Write::Update { object, live } = write else {
            return Ok(());
        };
        let change = suspension(object, live);
        let allowed = change.check(cx, &live.status.conditions).await;
        allowed.map_err(|error| error.into_status(&group_resource(), name_of(live)))
    }

    async fn create(
        &self,
        cx: &RequestContext,
        record: Kubeconfig,
        dry_run: bool,
    ) -> Result<Kubeconfig, Status> {
        self.create_record(cx, record, dry_run).await
    }

    async fn after_delete(&self, record: &Kubeconfig) -> Result<(), Status> {
        self.revoke(&record.status.tokens).await;
        Ok(())
    }
}

/// Returns the change of the record's suspended state.
fn suspension<'a>(record: &Kubeconfig, live: &'a Kubeconfig) -> Suspension<'a> {
    Suspension {
        condition: kubeconfig::CONDITION_SUSPENDED,
        owner: &live.status.user_name,
        was_off: live.spec.is_suspended(),
        is_off: record.spec.is_suspended(),
    }
}

/// Warns that names are generated. `kubectl apply` looks up the name in its file, does not find it,
/// and creates a record with another name, so that applying the file again creates yet another
/// record.
fn warn_of_apply(cx: &RequestContext, metadata: &ObjectMeta) {
    let annotations = metadata.annotations.as_ref();
    if annotations.is_some_and(|annotations| annotations.contains_key(LAST_APPLIED)) {
        cx.warn("metadata.name is ignored and a name is generated: applying this object again creates another kubeconfig");
    }
}

/// Sets the labels and annotations that identify the owner of the record, and removes values that a
/// client sent under their keys.
fn own(metadata: &mut ObjectMeta, user: &str) {
    let labels = metadata.labels.get_or_insert_default();
    labels.remove(labels::BACKING_KIND);
    labels.insert(labels::USER_ID.to_owned(), owner_label(user));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.remove(labels::BACKING_UID);
    annotations.insert(labels::USER_ID.to_owned(), user.to_owned());
}

/// Returns the user's name if it is a valid label value, else a stable hash of it.
fn owner_label(user: &str) -> String {
    if validation::label_value(user).is_empty() {
        return user.to_owned();
    }
    signing::secret::sha256_hex(user)[..40].to_owned()
}

fn is_changed(record: &Kubeconfig, live: &Kubeconfig) -> bool {
    let kept = |metadata: &ObjectMeta| {
        (
            metadata.labels.clone(),
            metadata.annotations.clone(),
            metadata.finalizers.clone(),
        )
    };
    record.spec != live.spec || kept(record.metadata()) != kept(live.metadata())
}

/// Replaces all `Updated` conditions by a single one with this time.
fn note_update(status: &mut KubeconfigStatus, now: Timestamp) {
    status
        .conditions
        .retain(|condition| condition.type_ != kubeconfig::CONDITION_UPDATED);
    status.conditions.push(Condition::holds(
        kubeconfig::CONDITION_UPDATED,
        String::new(),
        Time(now),
    ));
}
