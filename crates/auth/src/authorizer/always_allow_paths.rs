//! Paths that all clients may use, such as health checks.
//!
//! Follows `k8s.io/apiserver/pkg/authorization/path`.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{Attributes, Authorizer, AuthorizerError, Decision, Rules, Target};
use crate::user::UserInfo;

/// Allows all clients every verb on some URL paths. Never allows a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlwaysAllowPaths {
    paths: HashSet<String>,
    prefixes: Vec<String>,
}

/// A path pattern has a `*` elsewhere than at its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only trailing * allowed in {pattern:?}")]
pub struct PathPatternError {
    pattern: String,
}

impl AlwaysAllowPaths {
    /// Creates an authorizer that allows these paths. A pattern that ends in `*` allows every path
    /// that starts with the rest of it. A leading slash makes no difference.
    ///
    /// # Errors
    /// A pattern has a `*` elsewhere than at its end.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PathPatternError> {
        let mut allowed = Self::default();
        for pattern in patterns {
            let path = without_slash(pattern);
            let prefix = path.strip_suffix('*');
            if prefix.unwrap_or(path).contains('*') {
                let pattern = pattern.to_owned();
                return Err(PathPatternError { pattern });
            }
            match prefix {
                Some(prefix) => allowed.prefixes.push(prefix.to_owned()),
                None => drop(allowed.paths.insert(path.to_owned())),
            }
        }
        Ok(allowed)
    }

    fn allows(&self, path: &str) -> bool {
        let path = without_slash(path);
        let has_prefix = |prefix: &String| path.starts_with(prefix.as_str());
        self.paths.contains(path) || self.prefixes.iter().any(has_prefix)
    }
}

#[async_trait]
impl Authorizer for AlwaysAllowPaths {
    async fn authorize(
        &self,
        _user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        match &attributes.target {
            Target::Path(path) if self.allows(path) => Ok(Decision::Allow {
                reason: String::new(),
            }),
            Target::Path(_) | Target::Resource { .. } => Ok(Decision::no_opinion()),
        }
    }

    /// Returns no rules, because rights of all clients are not rules of a user.
    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_paths_and_prefixes_are_allowed() {
        let allowed = AlwaysAllowPaths::new(["/healthz", "livez/*", "/"]).unwrap();
        #[track_caller]
        fn check(allowed: &AlwaysAllowPaths, path: &str, expected: bool) {
            assert_eq!(allowed.allows(path), expected, "{path}");
        }
        check(&allowed, "/healthz", true);
        check(&allowed, "/healthz/etcd", false);
        check(&allowed, "/healthzz", false);
        check(&allowed, "/livez", false);
        check(&allowed, "/livez/etcd", true);
        check(&allowed, "/", true);
        check(&allowed, "/metrics", false);
    }

    #[test]
    fn star_elsewhere_than_at_the_end_is_refused() {
        #[track_caller]
        fn check(pattern: &str) {
            let error = AlwaysAllowPaths::new([pattern]).unwrap_err();
            let expected = format!("only trailing * allowed in {pattern:?}");
            assert_eq!(error.to_string(), expected);
        }
        check("/a*/b");
        check("/a**");
        check("*/b");
    }

    #[tokio::test]
    async fn resource_of_the_same_name_is_no_path() {
        let allowed = AlwaysAllowPaths::new(["/healthz", "/*"]).unwrap();
        let request = Attributes::resource("get", "", "healthz");
        let decision = allowed.authorize(&UserInfo::anonymous(), &request).await;
        assert_eq!(decision.unwrap(), Decision::no_opinion());
    }
}
