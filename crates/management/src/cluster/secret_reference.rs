//! Which Secrets a cluster may name. It must be meant for that: who may change one cluster must not have another Secret, or one of another
//! cluster, sent to a server of their choice or used to sign.

use api::management::cluster::SecretReference;
use machinery::field::{Error, ErrorList, Path};
use machinery::validation;

/// Where the Secrets of clusters are.
const NAMESPACE: &str = "kubeconfig-apiserver";

/// What ends the names of Secrets that belong to one cluster: `cluster-ID-gateway`.
const PURPOSES: [&str; 3] = ["gateway", "signer", "webhook"];

/// What is wrong with the Secret of the gateway's credential at the cluster of this id.
pub(super) fn credential(reference: &SecretReference, id: &str, path: &Path) -> ErrorList {
    validate(reference, &format!("cluster-{id}-gateway"), path)
}

/// What is wrong with the Secret of the authority that signs client certificates for it.
pub(super) fn signer(reference: &SecretReference, id: &str, path: &Path) -> ErrorList {
    validate(reference, &format!("cluster-{id}-signer"), path)
}

fn validate(reference: &SecretReference, own: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (namespace, name) = (path.child("namespace"), path.child("name"));
    match reference.namespace.as_str() {
        "" => errors.push(Error::required(&namespace, "")),
        NAMESPACE => {}
        other => errors.push(Error::not_supported(&namespace, other, &[NAMESPACE])),
    }
    match reference.name.as_str() {
        "" => errors.push(Error::required(&name, "")),
        other if is_reserved(other) && other != own => errors.push(Error::invalid(
            &name,
            other,
            format!("is the credential of something else; that of this cluster is {own}"),
        )),
        other => errors.extend(
            validation::dns1123_subdomain(other)
                .into_iter()
                .map(|why| Error::invalid(&name, other, why)),
        ),
    }
    errors
}

/// Whether a Secret has a name by which those of one cluster are called.
fn is_reserved(secret: &str) -> bool {
    let purpose = secret.rsplit_once('-').map(|(_, purpose)| purpose);
    secret.starts_with("cluster-") && purpose.is_some_and(|purpose| PURPOSES.contains(&purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((namespace, name): (&str, &str), expected: &[&str]) {
        let reference = SecretReference {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let errors = signer(&reference, "a", &Path::root("r"));
        let told: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_signer_is_this_clusters_own() {
        for own in ["cluster-a-signer", "my-authority", "cluster-a"] {
            check((NAMESPACE, own), &[]);
        }
        for foreign in ["cluster-b-signer", "cluster-a-gateway", "cluster-a-webhook"] {
            let why = format!(
                "r.name: Invalid value: {foreign:?}: is the credential of something else; that of this cluster is cluster-a-signer"
            );
            check((NAMESPACE, foreign), &[&why]);
        }
        check(
            ("default", ""),
            &[
                "r.namespace: Unsupported value: \"default\": supported values: \"kubeconfig-apiserver\"",
                "r.name: Required value",
            ],
        );
    }
}
