//! The current grants, indexed by their subjects.
//!
//! The index is built again after a change of any grant, by the first caller that notices. The
//! labels of clusters are read for each decision.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use api::ext::ClusterGrant;
use api::ext::cluster_grant::GrantSubject;
use api::management::Cluster;
use apiserver::registry::Registry;
use arc_swap::ArcSwap;
use auth::service_account::ServiceAccountName;
use auth::{Ceiling, UserInfo};
use jiff::SignedDuration;
use machinery::label_selector::LabelSelector;
use machinery::meta::{MetadataExt, ObjectKey};
use management::access::ceiling_of;
use parking_lot::Mutex;
use storage::Revision;

/// The grants and the clusters that they are for.
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    registry: Registry<ClusterGrant>,
    clusters: Registry<Cluster>,
    built: ArcSwap<Built>,
    building: Mutex<()>,
}

struct Built {
    /// The last change of the grants, or `None` before the first use.
    at: Option<Revision>,
    policy: Arc<GrantPolicy>,
}

/// All grants at one moment.
#[derive(Debug, Default)]
pub struct GrantPolicy {
    grants: Vec<Grant>,
    by_user: HashMap<String, Vec<usize>>,
    by_group: HashMap<String, Vec<usize>>,
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
            built: ArcSwap::from_pointee(Built {
                at: None,
                policy: Arc::default(),
            }),
            building: Mutex::new(()),
        }))
    }

    /// Returns the registry of the grants.
    pub fn registry(&self) -> &Registry<ClusterGrant> {
        &self.0.registry
    }

    /// Returns the current grants.
    pub fn policy(&self) -> Arc<GrantPolicy> {
        let inner = &*self.0;
        let current = || {
            let built = inner.built.load();
            let at = inner.registry.cache().view().last_change();
            (built.at == Some(at)).then(|| Arc::clone(&built.policy))
        };
        if let Some(policy) = current() {
            return policy;
        }
        let _building = inner.building.lock();
        if let Some(policy) = current() {
            return policy;
        }
        // The version is read before the objects: after a change in between, the next use builds
        // the index again.
        let at = Some(inner.registry.cache().view().last_change());
        let policy = Arc::new(GrantPolicy::of(&inner.registry.cache().all()));
        inner.built.store(Arc::new(Built {
            at,
            policy: Arc::clone(&policy),
        }));
        policy
    }

    /// Returns the clusters.
    pub(crate) fn clusters(&self) -> &Registry<Cluster> {
        &self.0.clusters
    }

    /// Calls `decide` with the grants of a user for a cluster.
    pub(crate) fn decide<T>(
        &self,
        user: &UserInfo,
        cluster: &str,
        decide: impl FnOnce(&[&Grant]) -> T,
    ) -> T {
        let policy = self.policy();
        let object = self.0.clusters.cache().get(ObjectKey::cluster(cluster));
        let labels = object.and_then(|object| object.metadata.labels);
        let grants = policy.of_user(user);
        let grants: Vec<&Grant> = grants
            .filter(|grant| grant.is_for(cluster, labels.as_ref()))
            .collect();
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
        let groups = user.groups.iter();
        let by_group = groups.filter_map(|group| self.by_group.get(group));
        let mut positions: Vec<usize> = own.chain(by_group).flatten().copied().collect();
        positions.sort_unstable();
        positions.dedup();
        let grants = positions.into_iter();
        grants.filter_map(|position| self.grants.get(position))
    }

    /// Returns the groups that grants give a user in a cluster with these labels, once each.
    pub fn groups(
        &self,
        user: &UserInfo,
        cluster: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Vec<String> {
        let mut groups = Vec::new();
        for grant in self.of_user(user) {
            if grant.groups.is_empty() || !grant.is_for(cluster, labels) {
                continue;
            }
            for group in &grant.groups {
                if !groups.contains(group) {
                    groups.push(group.clone());
                }
            }
        }
        groups
    }
}

/// Returns whether a grant is for this cluster.
pub fn is_for(grant: &ClusterGrant, cluster: &Cluster) -> bool {
    Grant::of(grant).is_for(cluster.id(), cluster.metadata.labels.as_ref())
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

    /// Returns whether the subjects may download the administrator's file.
    pub(crate) fn permits_admin_downloads(&self) -> bool {
        self.admin_downloads
    }

    /// Returns whether the grant is for a cluster with these labels.
    pub(crate) fn is_for(&self, cluster: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        let label = |key: &str| {
            labels
                .and_then(|labels| labels.get(key))
                .map(String::as_str)
        };
        let selector = self.selector.as_ref();
        self.clusters.contains(cluster) || selector.is_some_and(|it| it.matches(label))
    }
}
