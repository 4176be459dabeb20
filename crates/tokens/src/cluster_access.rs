//! `clusteraccessreviews.ext.cattle.io`: who may use which clusters, why, and with which groups.
//!
//! A review asks the same authorizer as every request, for each enabled user that the server knows:
//! the User objects, and the users of recorded logins. It also lists the groups and ServiceAccounts that
//! grants name, whose members the server may not know.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::ext::cluster_access_review::{ClusterAccess, ClusterAccessReview, GrantedAccess};
use api::ext::cluster_grant::GrantSubject;
use api::ext::{self, ClusterGrant};
use api::management::Cluster;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::request_context::{RequestContext, decide};
use apiserver::review::Review;
use async_trait::async_trait;
use auth::{Authorizer, UserInfo};
use machinery::meta::{MetadataExt, ObjectKey};
use machinery::status::Status;
use management::cluster::may_get;

use crate::cluster_groups::ClusterGroups;
use crate::user_directory::UserDirectory;
use crate::validity::owner;

/// Maximum number of pairs of a user and a cluster in one review.
const MAX_PAIRS: usize = 20_000;

/// The reviews. A caller needs the right to create the kind.
pub struct ClusterAccessReviews {
    description: Description,
    parts: AccessReviewParts,
}

/// The objects and services that reviews read.
pub struct AccessReviewParts {
    /// The users.
    pub users: Arc<UserDirectory>,
    /// The clusters, the last logins of the users, and the grants.
    pub groups: ClusterGroups,
    /// Decides on the rights of users without grants.
    pub rbac: Arc<dyn Authorizer>,
}

impl ClusterAccessReviews {
    /// Creates the reviews.
    pub fn new(parts: AccessReviewParts) -> Self {
        let description = Description {
            group: ext::GROUP,
            version: ext::VERSION,
            kind: ClusterAccessReview::KIND,
            plural: ClusterAccessReview::PLURAL,
            singular: ClusterAccessReview::SINGULAR,
            short_names: &[],
            categories: &[],
            scope: Scope::Cluster,
            verbs: &[Verb::Create],
            subresources: &[],
            schema: KindSchema::of::<ClusterAccessReview>(),
        };
        Self { description, parts }
    }

    fn clusters(&self, name: &str) -> Result<Vec<Cluster>, Status> {
        let cache = self.parts.groups.clusters.cache();
        if name.is_empty() {
            return Ok(cache.all());
        }
        let cluster = cache.get(ObjectKey::cluster(name));
        let missing = || Status::bad_request(format!("cluster {name} not found"));
        Ok(vec![cluster.ok_or_else(missing)?])
    }

    fn users(&self, name: &str) -> BTreeSet<String> {
        let users = &self.parts.users;
        let mut names = vec![name.to_owned()];
        if name.is_empty() {
            let logins = self.parts.groups.logins.registry().cache().all();
            names = users.names();
            names.extend(logins.into_iter().map(|login| login.status.user_name));
        }
        let enabled = names.into_iter().filter(|name| users.is_enabled(name));
        enabled.collect()
    }

    /// Returns the permission of a user to use a cluster, if there is one.
    async fn access(
        &self,
        user: &UserInfo,
        groups: &[String],
        cluster: &Cluster,
    ) -> Result<Option<ClusterAccess>, Status> {
        let wanted = may_get(cluster.id());
        let decision = decide(&*self.parts.rbac, user, &wanted).await?;
        let grants = self.parts.groups.grants.of_user(user, cluster.id());
        let reason = match (decision.is_allowed(), grants.first()) {
            (true, _) => decision.reason().to_owned(),
            (false, Some(grant)) => by_grant(grant),
            (false, None) => return Ok(None),
        };
        Ok(Some(ClusterAccess {
            cluster_name: cluster.id().to_owned(),
            subject: GrantSubject {
                kind: GrantSubject::USER.to_owned(),
                name: user.name.clone(),
                ..GrantSubject::default()
            },
            groups: self.parts.groups.at(cluster, &user.name, groups),
            reason,
            limited: !decision.is_allowed() && grants.iter().any(is_limited),
            grants: grants.into_iter().map(GrantedAccess::from).collect(),
        }))
    }

    /// Returns the permissions of the groups and ServiceAccounts that grants name.
    fn granted(&self, cluster: &Cluster) -> Vec<ClusterAccess> {
        let all = self.parts.groups.grants.registry().cache().all();
        let for_cluster = all.iter().filter(|grant| grants::is_for(grant, cluster));
        let entries = for_cluster.flat_map(|grant: &ClusterGrant| {
            let subjects = grant.spec.subjects.iter();
            let subjects = subjects.filter(|subject| subject.kind != GrantSubject::USER);
            subjects.map(|subject| ClusterAccess {
                cluster_name: cluster.id().to_owned(),
                subject: subject.clone(),
                groups: grant.spec.groups.clone(),
                reason: by_grant(grant),
                limited: is_limited(grant),
                grants: vec![grant.clone().into()],
            })
        });
        entries.collect()
    }
}

fn by_grant(grant: &ClusterGrant) -> String {
    format!("allowed by ClusterGrant {:?}", grant.metadata.name())
}

fn is_limited(grant: &ClusterGrant) -> bool {
    grant.spec.access.is_some() || grant.spec.max_ttl_seconds.is_some()
}

#[async_trait]
impl Review for ClusterAccessReviews {
    type Object = ClusterAccessReview;

    fn description(&self) -> &Description {
        &self.description
    }

    async fn review(
        &self,
        cx: &RequestContext,
        mut review: ClusterAccessReview,
    ) -> Result<ClusterAccessReview, Status> {
        let (cluster, user) = (&review.spec.cluster_name, &review.spec.user_name);
        if cluster.is_empty() && user.is_empty() {
            return Err(Status::bad_request(
                "spec.clusterName or spec.userName is required",
            ));
        }
        let (clusters, users) = (self.clusters(cluster)?, self.users(user));
        if clusters.len().saturating_mul(users.len()) > MAX_PAIRS {
            return Err(Status::bad_request(format!(
                "there are {} users and {} clusters, which are too many for one review: set both spec.clusterName and spec.userName",
                users.len(),
                clusters.len()
            )));
        }
        let mut entries = Vec::new();
        for name in users {
            let groups = self.parts.groups.logins.all_groups(&name, cx.clock.now());
            let user = owner(&name, &groups);
            for cluster in &clusters {
                entries.extend(self.access(&user, &groups, cluster).await?);
            }
        }
        if review.spec.user_name.is_empty() {
            entries.extend(clusters.iter().flat_map(|cluster| self.granted(cluster)));
        }
        let key = |entry: &ClusterAccess| {
            let subject = &entry.subject;
            let subject = (
                subject.kind.clone(),
                subject.namespace.clone(),
                subject.name.clone(),
            );
            (entry.cluster_name.clone(), subject, entry.reason.clone())
        };
        entries.sort_by_cached_key(key);
        review.status.entries = entries;
        Ok(review)
    }
}
