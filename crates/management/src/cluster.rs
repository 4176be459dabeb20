//! `clusters.management.cattle.io`: the clusters that can be reached.

mod authentication;
mod connection;
mod file_fields;
mod groups;
mod secret_reference;

use std::sync::Arc;

use api::management::{self, Cluster, cluster};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{ObjectCheck, Resource, Visibility, Write};
use apiserver::stored_object::{Index, StoredObject};
use async_trait::async_trait;
use auth::Attributes;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::meta::GroupResource;
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

pub use connection::MAX_URL;
pub use file_fields::check_file_fields;

use file_fields::check_names;
use secret_reference::OwnSecret;

use crate::cluster_secret::Purpose;
use crate::description::describe;
use crate::record_size::check_description;

/// Returns the description of the kind.
pub fn description() -> Description {
    describe(
        Cluster::KIND,
        Cluster::PLURAL,
        Cluster::SINGULAR,
        KindSchema::of::<Cluster>(),
    )
}

/// Returns the description of the kind where its objects are stored elsewhere and only read.
pub fn read_only() -> Description {
    Description {
        verbs: &[Verb::Get, Verb::List, Verb::Watch],
        subresources: &[],
        ..description()
    }
}

/// The index of clusters, which can be selected by name and labels only.
pub const INDEX: Index<Cluster> = Index::NONE;

const COLUMNS: [Column; 7] = [
    Column::NAME,
    Column::string("Display Name", "Display name of the cluster."),
    Column::string("Ready", "Whether the gateway reaches the cluster."),
    Column::string("Version", "Kubernetes version of the cluster."),
    Column::string("Reason", "Reason for the state of the condition Ready.").wide(),
    Column::string(
        "Server",
        "Address at which the gateway reaches the cluster.",
    )
    .wide(),
    AGE,
];

/// The strategy of clusters.
pub struct Clusters {
    /// The stored clusters.
    pub registry: Registry<Cluster>,
}

/// Returns the request to get a cluster, for authorization. All access to a cluster depends on this
/// right.
pub fn may_get(name: &str) -> Attributes {
    Attributes::resource("get", management::GROUP, Cluster::PLURAL)
        .version(management::VERSION)
        .object(name)
}

/// Returns the request to delete a cluster, for authorization. A user who may delete a cluster is
/// an administrator of it.
pub fn may_delete(name: &str) -> Attributes {
    Attributes {
        verb: "delete".to_owned(),
        ..may_get(name)
    }
}

#[async_trait]
impl Resource for Clusters {
    type Object = Cluster;

    fn registry(&self) -> &Registry<Cluster> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, cluster: &Cluster, now: Timestamp) -> Vec<Value> {
        let (ready, version) = (cluster.status.ready(), cluster.status.version.as_ref());
        let connection = cluster.spec.connection.as_ref();
        let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
        vec![
            cluster.id().into(),
            cluster.display_name().into(),
            text(ready.map(|ready| ready.status.as_str())),
            text(version.map(|version| version.git_version.as_str())),
            text(ready.map(|ready| ready.reason.as_str())),
            text(connection.map(|connection| connection.server.as_str())),
            age(&cluster.metadata, now),
        ]
    }

    /// Limits lists to the clusters that the caller may get.
    async fn visibility(&self, cx: &RequestContext, _verb: Verb) -> Result<Visibility, Status> {
        Ok(Visibility::Checked(Arc::new(MayGet(cx.clone()))))
    }

    fn validate(&self, cluster: &Cluster, live: Option<&Cluster>) -> ErrorList {
        let spec = Path::root("spec");
        let mut errors = match live.is_some_and(|live| has_same_names(live, cluster)) {
            true => ErrorList::new(),
            false => check_names(cluster, cluster.spec.local_cluster_auth_endpoint.as_ref()),
        };
        errors.extend(check_status(cluster, live));
        let described = live.map(|live| live.spec.description.as_str());
        errors.extend(check_description(&cluster.spec.description, described));
        errors.extend(check_references(cluster, live, &spec));
        if let Some(downloads) = &cluster.spec.downloads {
            let path = spec.child("downloads").child("adminGroup");
            errors.extend(admin_group(&downloads.admin_group, &path));
        }
        if let Some(groups) = &cluster.spec.groups {
            errors.extend(groups::validate(
                groups,
                cluster.id(),
                &spec.child("groups"),
            ));
        }
        if let Some(connection) = &cluster.spec.connection {
            let path = spec.child("connection");
            errors.extend(connection::validate(connection, &path));
        }
        if let Some(authentication) = &cluster.spec.authentication {
            let path = spec.child("authentication");
            errors.extend(authentication::validate(authentication, &path));
        }
        errors
    }

    async fn admit(&self, _cx: &RequestContext, write: Write<'_, Cluster>) -> Result<(), Status> {
        match write {
            Write::Delete(cluster) if cluster.id() == cluster::LOCAL => Err(Status::forbidden(
                &GroupResource::from_static(management::GROUP, Cluster::PLURAL),
                cluster::LOCAL,
                "the cluster that this server runs in cannot be deleted",
            )),
            _ => Ok(()),
        }
    }
}

/// Returns whether both have the same name and direct endpoint. Values that an older version
/// accepted can stay while other fields change.
fn has_same_names(live: &Cluster, cluster: &Cluster) -> bool {
    let (live, new) = (&live.spec, &cluster.spec);
    live.display_name == new.display_name
        && live.local_cluster_auth_endpoint == new.local_cluster_auth_endpoint
}

/// Returns the problem with the authorities in the status, which are written into users' files.
/// Values that an older version accepted can stay.
fn check_status(cluster: &Cluster, live: Option<&Cluster>) -> Option<field::Error> {
    let authorities = &cluster.status.ca_cert;
    if live.is_some_and(|live| live.status.ca_cert == *authorities) {
        return None;
    }
    let path = Path::root("status").child("caCert");
    connection::check_authorities(authorities, &path)
}

/// Returns the problems with the Secrets that a cluster references.
fn check_references(cluster: &Cluster, live: Option<&Cluster>, spec: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for purpose in [Purpose::Gateway, Purpose::Signer] {
        let live = live.and_then(|live| purpose.reference(live));
        if let (Some(reference), Some(field)) = (purpose.reference(cluster), purpose.field()) {
            let id = cluster.id();
            let own = OwnSecret { purpose, id };
            let path = Path::root(field);
            errors.extend(secret_reference::validate(reference, live, own, &path));
        }
    }
    if cluster.spec.client_certificates.is_some() && cluster.client_signer().is_none() {
        let path = spec.child("clientCertificates").child("signerSecretRef");
        errors.push(field::Error::required(&path, ""));
    }
    errors
}

/// Returns the problem with the administrator group. A group that Kubernetes reserves cannot be
/// granted by tokens of this server, because every entry point refuses it.
fn admin_group(group: &str, path: &Path) -> Option<field::Error> {
    match group {
        "" => None,
        _ => groups::check_name(group, "must not begin with system:", path),
    }
}

/// Check that admits the clusters that the caller may get.
struct MayGet(RequestContext);

#[async_trait]
impl ObjectCheck for MayGet {
    async fn admits(&self, object: &StoredObject) -> Result<bool, Status> {
        self.0.may(&may_get(object.name())).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_authorities_of_a_status_are_certificates() {
        let cluster = |ca: &str| -> Cluster {
            serde_json::from_value(json!({ "status": { "caCert": ca } })).unwrap()
        };
        let fault = |ca: &str, live: Option<&str>| {
            let live = live.map(cluster);
            check_status(&cluster(ca), live.as_ref()).map(|error| error.to_string())
        };
        let why = "status.caCert: Invalid value: must be base64 of PEM-encoded X.509 certificates";
        assert_eq!(fault("", None), None);
        assert_eq!(fault("?", None).as_deref(), Some(why));
        assert_eq!(fault("?", Some("")).as_deref(), Some(why));
        assert_eq!(fault("?", Some("?")), None);
    }

    #[test]
    fn the_admin_group_is_none_that_kubernetes_reserves() {
        #[track_caller]
        fn check(group: &str, expected: Option<&str>) {
            let error = admin_group(group, &Path::root("g"));
            let why = expected.map(|why| format!("g: Invalid value: {group:?}: {why}"));
            assert_eq!(error.map(|error| error.to_string()), why);
        }
        for group in ["", "admins", "kubeconfig-apiserver:cluster-admins", "a b"] {
            check(group, None);
        }
        check("system:masters", Some("must not begin with system:"));
        check(&"a".repeat(254), Some("must have at most 253 bytes"));
        let outer = "must not begin or end with white space";
        check(" admins", Some(outer));
        check("admins\t", Some(outer));
        check("a\nb", Some("must not contain the character U+000A"));
        check(
            "System:masters",
            Some("must not be another spelling of a name that begins with \"system:\""),
        );
    }
}
