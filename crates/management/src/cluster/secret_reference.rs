//! Validation of Secret references. A cluster may reference only its own Secrets. The reference is
//! checked again at use ([`crate::cluster_secret`]), which is decisive. This check reports the
//! problem to the writer at once.

use api::management::cluster::SecretReference;
use machinery::field::{Error, ErrorList, Path};

use crate::cluster_secret::Purpose;

/// The namespace of the Secrets of clusters.
const NAMESPACE: &str = "kubeconfig-apiserver";

/// The Secret of the cluster with this ID for a purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnSecret<'a> {
    pub(super) purpose: Purpose,
    pub(super) id: &'a str,
}

/// Returns the problems with a reference to this Secret. A reference that equals `live` stays
/// valid, so that other fields of the object can be changed.
pub(super) fn validate(
    reference: &SecretReference,
    live: Option<&SecretReference>,
    own: OwnSecret<'_>,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    if live == Some(reference) {
        return errors;
    }
    let (namespace, name) = (path.child("namespace"), path.child("name"));
    match reference.namespace.as_str() {
        "" => errors.push(Error::required(&namespace, "")),
        NAMESPACE => {}
        other => errors.push(Error::not_supported(&namespace, other, &[NAMESPACE])),
    }
    let OwnSecret { purpose, id } = own;
    let own = purpose.secret_name(id);
    match reference.name.as_str() {
        "" => errors.push(Error::required(&name, "")),
        other if other == own => {}
        other => errors.push(Error::invalid(
            &name,
            other,
            format!("must be {own}, the cluster's own Secret; `kubeconfig-apiserver cluster bind {id}` binds it to the cluster"),
        )),
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(namespace: &str, name: &str) -> SecretReference {
        SecretReference {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[track_caller]
    fn check(reference: &SecretReference, live: Option<&SecretReference>, expected: &[&str]) {
        let (purpose, id) = (Purpose::Signer, "a");
        let own = OwnSecret { purpose, id };
        let errors = validate(reference, live, own, &Path::root("r"));
        let told: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_signer_is_this_clusters_own() {
        check(&reference(NAMESPACE, "cluster-a-signer"), None, &[]);
        for foreign in [
            "cluster-b-signer",
            "cluster-a-gateway",
            "cluster-a-webhook",
            "cluster-a",
            "my-authority",
            "kubeconfig-apiserver-serving",
        ] {
            let why = format!(
                "r.name: Invalid value: {foreign:?}: must be cluster-a-signer, the cluster's own Secret; `kubeconfig-apiserver cluster bind a` binds it to the cluster"
            );
            check(&reference(NAMESPACE, foreign), None, &[&why]);
        }
        check(
            &reference("default", ""),
            None,
            &[
                "r.namespace: Unsupported value: \"default\": supported values: \"kubeconfig-apiserver\"",
                "r.name: Required value",
            ],
        );
    }

    #[test]
    fn a_reference_of_before_stays_and_cannot_be_changed_to_another_foreign_one() {
        let (old, new) = (reference(NAMESPACE, "old"), reference(NAMESPACE, "new"));
        check(&old, Some(&old), &[]);
        let why = "r.name: Invalid value: \"new\": must be cluster-a-signer, the cluster's own Secret; `kubeconfig-apiserver cluster bind a` binds it to the cluster";
        check(&new, Some(&old), &[why]);
    }
}
