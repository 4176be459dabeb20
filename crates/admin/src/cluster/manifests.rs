//! The objects that `add` creates in a cluster: exactly those of `deploy/downstream/`.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use machinery::meta::MetadataExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The namespace of our objects, in a registered cluster and in the host.
pub(crate) const NAMESPACE: &str = "kubeconfig-apiserver";

/// The ServiceAccount whose token the gateway uses.
pub(super) const SERVICE_ACCOUNT: &str = "gateway";

/// An object, and its resource.
pub(super) struct Manifest {
    pub(super) resource: ApiResource,
    pub(super) object: DynamicObject,
}

/// Returns all objects, ordered by their dependencies.
///
/// # Errors
/// Does not fail with the embedded files, which a test checks.
pub(super) fn all() -> Result<Vec<Manifest>> {
    macro_rules! manifest {
        ($kind:ty, $file:literal) => {
            // This is a macro because `include_str!` needs a literal path.
            parse::<$kind>(include_str!(concat!(
                "../../../../deploy/downstream/",
                $file
            )))
            .context($file)?
        };
    }
    Ok(vec![
        manifest!(Namespace, "namespace.yaml"),
        manifest!(ServiceAccount, "service-account.yaml"),
        manifest!(ClusterRole, "cluster-role.yaml"),
        manifest!(ClusterRoleBinding, "cluster-role-binding.yaml"),
        manifest!(ClusterRoleBinding, "admin-role-binding.yaml"),
        manifest!(ClusterRoleBinding, "view-binding.yaml"),
        manifest!(ClusterRoleBinding, "edit-binding.yaml"),
        manifest!(ClusterRoleBinding, "admin-binding.yaml"),
        manifest!(ClusterRoleBinding, "cluster-admin-binding.yaml"),
        manifest!(Role, "role.yaml"),
        manifest!(RoleBinding, "role-binding.yaml"),
    ])
}

fn parse<K>(text: &str) -> Result<Manifest>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let typed: K = serde_saphyr::from_str(text)?;
    Ok(Manifest {
        resource: ApiResource::erase::<K>(&()),
        object: serde_json::from_value(serde_json::to_value(typed)?)?,
    })
}

impl Manifest {
    /// Returns the API of the object's resource and namespace.
    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// Returns the name of the object.
    pub(super) fn name(&self) -> &str {
        self.object.metadata.name()
    }

    /// Returns whether the object is the namespace, which may also contain objects of other owners.
    pub(super) fn is_namespace(&self) -> bool {
        self.resource.kind == "Namespace"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use api::management::cluster;
    use gateway::prober::IMPERSONATED;
    use k8s_openapi::api::rbac::v1::PolicyRule;
    use serde_json::{Value, json};

    use super::super::objects::{MANAGED_BY, MANAGER};
    use super::*;

    fn names(kind_of: impl Fn(&Manifest) -> bool) -> Vec<String> {
        let all = all().unwrap();
        let chosen = all.iter().filter(|manifest| kind_of(manifest));
        chosen
            .map(|manifest| {
                let namespace = manifest.object.metadata.namespace.as_deref();
                let kind = &manifest.resource.plural;
                format!(
                    "{}{kind}/{}",
                    namespace.map(|n| format!("{n}/")).unwrap_or_default(),
                    manifest.name()
                )
            })
            .collect()
    }

    fn data(plural: &str) -> Value {
        let all = all().unwrap();
        let found = all
            .iter()
            .find(|manifest| manifest.resource.plural == plural);
        found.unwrap().object.data.clone()
    }

    fn rules(plural: &str) -> Vec<PolicyRule> {
        serde_json::from_value(data(plural)["rules"].clone()).unwrap()
    }

    #[test]
    fn the_objects_are_these_and_no_others() {
        assert_eq!(
            names(|_| true),
            [
                "namespaces/kubeconfig-apiserver",
                "kubeconfig-apiserver/serviceaccounts/gateway",
                "clusterroles/kubeconfig-apiserver:gateway",
                "clusterrolebindings/kubeconfig-apiserver:gateway",
                "clusterrolebindings/kubeconfig-apiserver:cluster-admins",
                "clusterrolebindings/kubeconfig-apiserver:view",
                "clusterrolebindings/kubeconfig-apiserver:edit",
                "clusterrolebindings/kubeconfig-apiserver:admin",
                "clusterrolebindings/kubeconfig-apiserver:cluster-admin",
                "kubeconfig-apiserver/roles/gateway-credential",
                "kubeconfig-apiserver/rolebindings/gateway-credential",
            ]
        );
        assert_eq!(
            names(Manifest::is_namespace),
            ["namespaces/kubeconfig-apiserver"]
        );
    }

    #[test]
    fn every_object_says_who_manages_it() {
        for manifest in all().unwrap() {
            let labels = manifest.object.metadata.labels.unwrap();
            assert_eq!(labels, [(MANAGED_BY.to_owned(), MANAGER.to_owned())].into());
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_as_it_stands() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/downstream");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|it| it == "yaml") {
                let written: Value =
                    serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                found.insert(written.to_string());
            }
        }
        let all = all().unwrap();
        let embedded = all
            .iter()
            .map(|it| serde_json::to_value(&it.object).unwrap().to_string());
        assert_eq!(embedded.collect::<BTreeSet<_>>(), found);
    }

    #[test]
    fn the_gateway_may_impersonate_and_nothing_else() {
        let rule = |group: &str, resources: &[&str]| PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(resources.iter().map(|it| (*it).to_owned()).collect()),
            verbs: vec!["impersonate".to_owned()],
            ..PolicyRule::default()
        };
        assert_eq!(
            rules("clusterroles"),
            [
                rule("", &["users", "groups", "serviceaccounts"]),
                rule(
                    "authentication.k8s.io",
                    &["uids", "userextras/requesttokenid"]
                ),
            ]
        );
    }

    #[test]
    fn the_role_is_what_the_prober_looks_for_and_service_accounts() {
        let granted = rules("clusterroles").into_iter().flat_map(|rule| {
            let group = rule.api_groups.unwrap().remove(0);
            let resources = rule.resources.unwrap().into_iter();
            resources.map(move |resource| (group.clone(), resource))
        });
        let wanted = IMPERSONATED.map(|it| (it.group.to_owned(), it.in_role()));
        // Earlier versions registered clusters with a role without these, and those clusters stay
        // ready.
        let also = (String::new(), "serviceaccounts".to_owned());
        let wanted: BTreeSet<_> = wanted.into_iter().chain([also]).collect();
        assert_eq!(granted.collect::<BTreeSet<_>>(), wanted);
    }

    #[test]
    fn the_gateway_renews_no_token_but_its_own() {
        let own = PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["serviceaccounts/token".to_owned()]),
            resource_names: Some(vec![SERVICE_ACCOUNT.to_owned()]),
            verbs: vec!["create".to_owned()],
            ..PolicyRule::default()
        };
        assert_eq!(rules("roles"), [own]);
    }

    #[test]
    fn the_admin_group_of_files_is_an_administrator() {
        let all = all().unwrap();
        let binding = all.iter().find(|it| it.name() == cluster::ADMIN_GROUP);
        let group = "rbac.authorization.k8s.io";
        let role = json!({ "apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin" });
        let subject = json!({ "apiGroup": group, "kind": "Group", "name": cluster::ADMIN_GROUP });
        assert_eq!(
            binding.unwrap().object.data,
            json!({ "roleRef": role, "subjects": [subject] })
        );
    }

    #[test]
    fn both_roles_are_bound_to_the_gateway_alone() {
        let subjects = json!([
            { "kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE },
        ]);
        for (plural, kind, name) in [
            (
                "clusterrolebindings",
                "ClusterRole",
                "kubeconfig-apiserver:gateway",
            ),
            ("rolebindings", "Role", "gateway-credential"),
        ] {
            let role =
                json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
            assert_eq!(
                data(plural),
                json!({ "roleRef": role, "subjects": subjects })
            );
        }
    }
}
