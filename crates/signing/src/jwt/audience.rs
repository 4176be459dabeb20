//! The audiences of a token, as written in `aud`.
//!
//! The audience of the cluster that runs this server, and so of the management API, is the issuer
//! URL. The audience of any other cluster is `cluster:` and its name. No URL with an authority has
//! this form.

use api::management::cluster::LOCAL;

/// Maximum number of clusters that a token names individually. Each takes about 30 bytes.
pub const MAX_NAMED_CLUSTERS: usize = 64;

/// The audience that replaces the clusters' own audiences if there are more than
/// [`MAX_NAMED_CLUSTERS`]: the clusters of the token's record. Only a verifier that can read the
/// record can accept it; a cluster that verifies offline rejects such a token. No cluster is named
/// `*`.
pub const RECORDED_CLUSTERS: &str = "cluster:*";

/// Prefix of the audience of a cluster.
const PREFIX: &str = "cluster:";

/// Returns the audience of one cluster.
#[must_use]
pub fn audience(issuer: &str, cluster: &str) -> String {
    match cluster {
        LOCAL => issuer.to_owned(),
        _ => format!("{PREFIX}{cluster}"),
    }
}

/// Returns whether this is the audience of that cluster.
pub(super) fn is_audience(audience: &str, issuer: &str, cluster: &str) -> bool {
    match cluster {
        LOCAL => audience == issuer,
        _ => audience.strip_prefix(PREFIX) == Some(cluster),
    }
}

/// Returns the audiences of a token for these clusters, in the same order.
#[must_use]
pub fn audiences<S: AsRef<str>>(issuer: &str, clusters: &[S]) -> Vec<String> {
    let names = clusters.iter().map(AsRef::as_ref);
    if clusters.len() <= MAX_NAMED_CLUSTERS {
        return names.map(|cluster| audience(issuer, cluster)).collect();
    }
    recorded_audiences(issuer, clusters)
}

/// Returns the audiences of a token for these clusters which names none of them, except for this
/// server itself. Clusters that verify tokens themselves reject it.
#[must_use]
pub fn recorded_audiences<S: AsRef<str>>(issuer: &str, clusters: &[S]) -> Vec<String> {
    let names = clusters.iter().map(AsRef::as_ref);
    let local = names.filter(|cluster| *cluster == LOCAL).take(1);
    let local = local.map(|cluster| audience(issuer, cluster));
    local.chain([RECORDED_CLUSTERS.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAMED_CLUSTERS, audiences};

    #[track_caller]
    fn check(clusters: &[&str], expected: &[&str]) {
        assert_eq!(audiences("https://issuer.example", clusters), expected);
    }

    #[test]
    fn few_clusters_are_named() {
        check(&[], &[]);
        check(
            &["c-1", "local"],
            &["cluster:c-1", "https://issuer.example"],
        );
        check(
            &["c"; MAX_NAMED_CLUSTERS],
            &["cluster:c"; MAX_NAMED_CLUSTERS],
        );
    }

    #[test]
    fn many_clusters_are_left_to_the_record() {
        let mut many = [["c"; MAX_NAMED_CLUSTERS].as_slice(), &["d"]].concat();
        check(&many, &["cluster:*"]);
        many.push("local");
        check(&many, &["https://issuer.example", "cluster:*"]);
    }
}
