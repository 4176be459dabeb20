//! The permissions that the server's ServiceAccount needs in the host.

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::report::Report;
use super::scene::{API_SERVICE, Scene};
use crate::client::told;

const TOPIC: &str = "permissions";

/// The scope of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The namespace of the server.
    Own,
    /// This namespace.
    Namespace(&'static str),
    /// The whole cluster.
    Cluster,
}

/// The condition under which a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// Records are Secrets of the host.
    RecordsInTheHost,
    /// The server creates its serving certificate.
    OwnCertificate,
}

/// An operation of the server in the host.
struct Permission {
    /// The purpose, in words that follow "so that".
    so_that: &'static str,
    when: When,
    place: Place,
    group: &'static str,
    /// The resource, with the subresource, if any, after a slash.
    resource: &'static str,
    /// The name of the only object that needs the permission.
    name: Option<&'static str>,
    verbs: &'static [&'static str],
}

/// All operations of the server in the host.
const PERMISSIONS: &[Permission] = &[
    Permission {
        so_that: "records are stored",
        when: When::RecordsInTheHost,
        place: Place::Own,
        group: "",
        resource: "secrets",
        name: None,
        verbs: &[
            "get", "list", "watch", "create", "update", "patch", "delete",
        ],
    },
    Permission {
        so_that: "the encryption key is registered",
        when: When::Always,
        place: Place::Own,
        group: "",
        resource: "configmaps",
        name: None,
        verbs: &["create"],
    },
    Permission {
        so_that: "the encryption key is verified",
        when: When::Always,
        place: Place::Own,
        group: "",
        resource: "configmaps",
        name: Some(host::sealing::REGISTER),
        verbs: &["get", "update"],
    },
    Permission {
        so_that: "credentials of clusters are read",
        when: When::Always,
        place: Place::Own,
        group: "",
        resource: "secrets",
        name: None,
        verbs: &["get", "list", "watch"],
    },
    Permission {
        so_that: "the serving certificate is stored",
        when: When::OwnCertificate,
        place: Place::Own,
        group: "",
        resource: "secrets",
        name: None,
        verbs: &["get", "list", "watch", "create", "update"],
    },
    Permission {
        so_that: "the host trusts the serving certificate",
        when: When::OwnCertificate,
        place: Place::Cluster,
        group: "apiregistration.k8s.io",
        resource: "apiservices",
        name: Some(API_SERVICE),
        verbs: &["get", "list", "watch", "patch"],
    },
    Permission {
        so_that: "the front proxy is authenticated",
        when: When::Always,
        place: Place::Namespace("kube-system"),
        group: "",
        resource: "configmaps",
        name: Some("extension-apiserver-authentication"),
        verbs: &["get", "list", "watch"],
    },
    Permission {
        so_that: "tokens of the host are authenticated",
        when: When::Always,
        place: Place::Cluster,
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        name: None,
        verbs: &["create"],
    },
    Permission {
        so_that: "the host authorizes requests",
        when: When::Always,
        place: Place::Cluster,
        group: "authorization.k8s.io",
        resource: "subjectaccessreviews",
        name: None,
        verbs: &["create"],
    },
    Permission {
        so_that: "clusters are read",
        when: When::Always,
        place: Place::Cluster,
        group: api::management::GROUP,
        resource: "clusters",
        name: None,
        verbs: &["get", "list", "watch"],
    },
    Permission {
        so_that: "the status of clusters is written",
        when: When::Always,
        place: Place::Cluster,
        group: api::management::GROUP,
        resource: "clusters/status",
        name: None,
        verbs: &["patch"],
    },
    management("users"),
    Permission {
        so_that: "users who log in are recorded",
        when: When::Always,
        place: Place::Cluster,
        group: api::management::GROUP,
        resource: "users",
        name: None,
        verbs: &["create", "patch"],
    },
    Permission {
        so_that: "ServiceAccounts may have kubeconfigs",
        when: When::Always,
        place: Place::Cluster,
        group: "",
        resource: "serviceaccounts",
        name: None,
        verbs: &["get", "list", "watch"],
    },
    management("settings"),
    management("features"),
    management("nodes"),
];

const fn management(resource: &'static str) -> Permission {
    Permission {
        so_that: "they are read",
        when: When::Always,
        place: Place::Cluster,
        group: api::management::GROUP,
        resource,
        name: None,
        verbs: &["get", "list", "watch"],
    }
}

/// Asks the host whether each permission is granted.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    let account = format!("ServiceAccount {}/{}", scene.namespace, scene.account());
    for permission in PERMISSIONS
        .iter()
        .filter(|permission| permission.is_needed(scene))
    {
        match permission.missing(scene).await {
            Ok(missing) if missing.is_empty() => {
                let verbs = permission.verbs.join(", ");
                report.ok(TOPIC, format!("{account} may {verbs} {}", permission.object(scene)));
            }
            Ok(missing) => report.problem(
                TOPIC,
                format!(
                    "{account} may not {} {}, which is required so that {}",
                    missing.join(", "),
                    permission.object(scene),
                    permission.so_that
                ),
                "bind the roles of the chart to it: rbac.create=true, or deploy/aggregated/rbac.yaml",
            ),
            Err(error) => return report.unseen(TOPIC, &format!("the permissions of {account}"), &error),
        }
    }
}

impl Permission {
    fn is_needed(&self, scene: &Scene) -> bool {
        match self.when {
            When::Always => true,
            When::RecordsInTheHost => scene.keeps_records_in_the_host(),
            When::OwnCertificate => scene.flag("tls-cert-file").is_none(),
        }
    }

    /// Returns a description of the resource and its namespace, for the report.
    fn object(&self, scene: &Scene) -> String {
        let mut object = match self.name {
            Some(name) => format!("{} {name}", self.resource),
            None => self.resource.to_owned(),
        };
        if let Some(namespace) = self.namespace(scene) {
            object.push_str(&format!(" in {namespace}"));
        }
        object
    }

    fn namespace<'a>(&self, scene: &'a Scene) -> Option<&'a str> {
        match self.place {
            Place::Own => Some(&scene.namespace),
            Place::Namespace(namespace) => Some(namespace),
            Place::Cluster => None,
        }
    }

    async fn missing(&self, scene: &Scene) -> Result<Vec<&'static str>> {
        let mut missing = Vec::new();
        for verb in self.verbs {
            if !self.is_allowed(scene, verb).await? {
                missing.push(*verb);
            }
        }
        Ok(missing)
    }

    async fn is_allowed(&self, scene: &Scene, verb: &str) -> Result<bool> {
        let (namespace, account) = (&scene.namespace, scene.account());
        let (resource, subresource) = self.resource.split_once('/').unzip();
        let attributes = ResourceAttributes {
            subresource: subresource.map(str::to_owned),
            verb: Some(verb.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(resource.unwrap_or(self.resource).to_owned()),
            name: self.name.map(str::to_owned),
            namespace: self.namespace(scene).map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{account}")),
                groups: Some(groups.into()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(scene.host.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        let status = answer.map_err(told)?.status;
        Ok(status.context("the host does not decide")?.allowed)
    }
}
