//! The current grants, indexed by their subjects.
//!
//! The index is built again after a change of any grant. The labels of clusters are read for each
//! decision.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use api::ext::ClusterGrant;
use api::ext::cluster_grant::GrantSubject;
use api::management::Cluster;
use apiserver::registry::{Registry, Snapshot};
use auth::service_account::{HostAccount, ServiceAccountName};
use auth::{Ceiling, UserInfo};
use jiff::SignedDuration;
use machinery::label_selector::LabelSelector;
use machinery::meta::{MetadataExt, ObjectKey};
use management::access::ceiling_of;
use storage::Revision;

/// The labels of a cluster.
pub type Labels = BTreeMap<String, String>;

/// The grants and the clusters that they are for.
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    registry: Registry<ClusterGrant>,
    clusters: Registry<Cluster>,
    built: Snapshot<Revision, GrantPolicy>,
}

/// All grants at one moment.
#[derive(Debug, Default)]
pub struct GrantPolicy {
    grants: Vec<Grant>,
    by_user: HashMap<String, Vec<usize>>,
    by_group: HashMap<String, Vec<usize>>,
}

/// The groups of a grant, which a user has within the limits of the grant.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantedGroups {
    /// The groups in the cluster.
    pub groups: Vec<String>,
    /// The requests for which the user has them, or `None` for all.
    pub ceiling: Option<Arc<Ceiling>>,
    /// The age of a token up to which it has them, or `None` for any.
    pub max_ttl: Option<SignedDuration>,
}

/// A grant, decoded.
#[derive(Debug)]
pub struct Grant {
    name: String,
    clusters: HashSet<String>,
    selector: Option<LabelSelector>,
    groups: Vec<String>,
    ceiling: Option<Arc<Ceiling>>,
    max_ttl: Option<SignedDuration>,
    admin_downloads: bool,
}

impl Grants {
    /// Creates a reader of these grants and clusters.
    pub fn new(registry: Registry<ClusterGrant>, clusters: Registry<Cluster>) -> Self {
        Self(Arc::new(Inner {
            registry,
            clusters,
            built: Snapshot::new(),
        }))
    }

    /// Returns the registry of the grants.
    pub fn registry(&self) -> &Registry<ClusterGrant> {
        &self.0.registry
    }

    /// Returns the current grants.
    pub fn policy(&self) -> Arc<GrantPolicy> {
        let grants = self.0.registry.cache();
        self.0.built.current(
            || grants.view().last_change(),
            || GrantPolicy::of(&grants.all()),
        )
    }

    /// Returns the clusters.
    pub(crate) fn clusters(&self) -> &Registry<Cluster> {
        &self.0.clusters
    }

    /// Returns the grants of a user for a cluster, sorted by name.
    pub fn of_user(&self, user: &UserInfo, cluster: &str) -> Vec<ClusterGrant> {
        let names: Vec<String> = self.decide(user, cluster, |grants| {
            grants.iter().map(|grant| grant.name.clone()).collect()
        });
        let objects = self.registry().cache();
        let grants = names.iter();
        let grants = grants.filter_map(|name| objects.get(ObjectKey::cluster(name)));
        grants.collect()
    }

    /// Calls `decide` with the grants of a user for a cluster. Few users have grants, so the cluster
    /// is only looked up for them.
    pub(crate) fn decide<T>(
        &self,
        user: &UserInfo,
        cluster: &str,
        decide: impl FnOnce(&[&Grant]) -> T,
    ) -> T {
        let policy = self.policy();
        let mut grants: Vec<&Grant> = policy.of_user(user).collect();
        if !grants.is_empty() {
            let clusters = self.clusters();
            let view = clusters.cache().view();
            let object = view.get(&clusters.key(ObjectKey::cluster(cluster)));
            let label = |key: &str| object?.label(key);
            grants.retain(|grant| grant.is_for(cluster, label));
        }
        decide(&grants)
    }
}

impl GrantPolicy {
    fn of(objects: &[ClusterGrant]) -> Self {
        let mut policy = Self::default();
        for object in objects {
            let position = policy.grants.len();
            policy.grants.push(Grant::of(object));
            for subject in &object.spec.subjects {
                let (index, name) = match subject.kind.as_str() {
                    GrantSubject::USER => (&mut policy.by_user, subject.name.clone()),
                    GrantSubject::GROUP => (&mut policy.by_group, subject.name.clone()),
                    GrantSubject::SERVICE_ACCOUNT => {
                        (&mut policy.by_user, service_account(subject).username())
                    }
                    _ => continue,
                };
                index.entry(name).or_default().push(position);
            }
        }
        policy
    }

    /// Returns the grants of a user, once each, in the order of their names.
    pub fn of_user(&self, user: &UserInfo) -> impl Iterator<Item = &Grant> {
        let own = self.by_user.get(&user.name).into_iter();
        // A grant names a ServiceAccount as the host does.
        let account = HostAccount::from_owner(&user.name).map(|owner| owner.account.username());
        let own = own.chain(account.and_then(|account| self.by_user.get(&account)));
        let groups = user.groups.iter();
        let by_group = groups.filter_map(|group| self.by_group.get(group));
        let mut positions: Vec<usize> = own.chain(by_group).flatten().copied().collect();
        positions.sort_unstable();
        positions.dedup();
        let grants = positions.into_iter();
        grants.filter_map(|position| self.grants.get(position))
    }

    /// Returns the groups that grants give a user in a cluster with these labels. A group may occur
    /// more than once.
    pub fn groups(&self, user: &UserInfo, cluster: &str, labels: &Labels) -> Vec<GrantedGroups> {
        let grants = self.of_user(user);
        let grants = grants.filter(|grant| grant.is_for(cluster, |key| value(labels, key)));
        let grants = grants.filter(|grant| !grant.groups.is_empty());
        let granted = grants.map(|grant| GrantedGroups {
            groups: grant.groups.clone(),
            ceiling: grant.ceiling.clone(),
            max_ttl: grant.max_ttl,
        });
        granted.collect()
    }
}

/// Returns whether a grant is for this cluster.
pub fn is_for(grant: &ClusterGrant, cluster: &Cluster) -> bool {
    let labels = cluster.metadata.labels.as_ref();
    Grant::of(grant).is_for(cluster.id(), |key| value(labels?, key))
}

fn value<'l>(labels: &'l Labels, key: &str) -> Option<&'l str> {
    labels.get(key).map(String::as_str)
}

fn service_account(subject: &GrantSubject) -> ServiceAccountName<'_> {
    ServiceAccountName {
        namespace: &subject.namespace,
        name: &subject.name,
    }
}

impl Grant {
    fn of(object: &ClusterGrant) -> Self {
        let spec = &object.spec;
        let selector = spec.clusters.selector.as_ref();
        Self {
            name: object.metadata.name().to_owned(),
            clusters: spec.clusters.names.iter().cloned().collect(),
            // An invalid selector selects nothing. It can only be in a damaged object.
            selector: selector
                .and_then(|selector| LabelSelector::from_label_selector(selector).ok()),
            groups: spec.groups.clone(),
            ceiling: spec.access.as_ref().map(|it| Arc::new(ceiling_of(it))),
            max_ttl: spec.max_ttl_seconds.map(SignedDuration::from_secs),
            admin_downloads: spec.admin_downloads,
        }
    }

    /// Returns the name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the maximum lifetime of kubeconfigs and tokens, or `None` if the grant sets none.
    pub(crate) fn max_ttl(&self) -> Option<SignedDuration> {
        self.max_ttl
    }

    /// Returns the limits of the subjects, or `None` if the grant sets none.
    pub(crate) fn ceiling(&self) -> Option<&Arc<Ceiling>> {
        self.ceiling.as_ref()
    }

    /// Returns whether the subjects may download the administrator's file, which has no limits.
    pub(crate) fn permits_admin_downloads(&self) -> bool {
        self.admin_downloads && self.ceiling.is_none()
    }

    /// Returns whether the grant is for a cluster with these labels.
    pub(crate) fn is_for<'l>(
        &self,
        cluster: &str,
        label: impl Fn(&str) -> Option<&'l str>,
    ) -> bool {
        let selector = self.selector.as_ref();
        self.clusters.contains(cluster) || selector.is_some_and(|it| it.matches(label))
    }
}
