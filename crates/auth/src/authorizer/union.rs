//! A chain of authorizers that acts as one authorizer.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Attributes, Authorizer, AuthorizerError, Decision, Rules};
use crate::go_format;
use crate::user::UserInfo;

/// A chain of authorizers, asked in order. The first that allows or denies decides.
pub struct AuthorizerUnion {
    authorizers: Vec<Arc<dyn Authorizer>>,
}

impl AuthorizerUnion {
    /// Creates a chain that asks `authorizers` in this order. An empty chain allows nothing.
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { authorizers }
    }
}

#[async_trait]
impl Authorizer for AuthorizerUnion {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        if attributes.verb.is_empty() {
            let reason = "the request has no verb".to_owned();
            return Ok(Decision::Deny { reason });
        }
        let mut reasons = Vec::new();
        let mut errors = Vec::new();
        for authorizer in &self.authorizers {
            match authorizer.authorize(user, attributes).await {
                Ok(Decision::NoOpinion { reason }) if reason.is_empty() => {}
                Ok(Decision::NoOpinion { reason }) => reasons.push(reason),
                Ok(decided) => return Ok(decided),
                Err(error) => errors.push(error),
            }
        }
        match AuthorizerError::from_all(errors) {
            Some(error) => Err(error),
            None => Ok(Decision::NoOpinion {
                reason: reasons.join("\n"),
            }),
        }
    }

    /// Returns all rules of all authorizers. If one fails, the result is marked as incomplete
    /// instead of returning an error.
    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError> {
        let mut all = Rules::default();
        let mut errors = Vec::new();
        for authorizer in &self.authorizers {
            match authorizer.rules(user, namespace).await {
                Ok(rules) => {
                    all.resource_rules.extend(rules.resource_rules);
                    all.non_resource_rules.extend(rules.non_resource_rules);
                    all.incomplete |= rules.incomplete;
                    errors.extend(rules.evaluation_error);
                }
                Err(error) => {
                    all.incomplete = true;
                    errors.push(error.to_string());
                }
            }
        }
        all.evaluation_error = (!errors.is_empty()).then(|| go_format::aggregate(&errors));
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorizer::{AlwaysAllowPaths, PrivilegedGroup};
    use crate::user::ALL_AUTHENTICATED;

    enum Fixed {
        Decides(Decision),
        Fails(&'static str),
    }

    #[async_trait]
    impl Authorizer for Fixed {
        async fn authorize(
            &self,
            _: &UserInfo,
            _: &Attributes,
        ) -> Result<Decision, AuthorizerError> {
            match self {
                Self::Decides(decision) => Ok(decision.clone()),
                Self::Fails(authorizer) => Err(AuthorizerError::Unavailable {
                    authorizer,
                    source: "connection refused".into(),
                }),
            }
        }

        async fn rules(&self, user: &UserInfo, _: &str) -> Result<Rules, AuthorizerError> {
            self.authorize(user, &Attributes::path("get", "/")).await?;
            Ok(Rules::default())
        }
    }

    fn allow(reason: &str) -> Fixed {
        let reason = reason.to_owned();
        Fixed::Decides(Decision::Allow { reason })
    }

    fn deny(reason: &str) -> Fixed {
        let reason = reason.to_owned();
        Fixed::Decides(Decision::Deny { reason })
    }

    fn no_opinion(reason: &str) -> Fixed {
        let reason = reason.to_owned();
        Fixed::Decides(Decision::NoOpinion { reason })
    }

    fn union(authorizers: Vec<Fixed>) -> AuthorizerUnion {
        let shared = |authorizer| Arc::new(authorizer) as Arc<dyn Authorizer>;
        AuthorizerUnion::new(authorizers.into_iter().map(shared).collect())
    }

    /// Returns the decision as text, `allow: reason`, or the error.
    async fn ask(authorizers: Vec<Fixed>) -> String {
        let request = Attributes::path("get", "/version");
        let user = UserInfo::named("alice");
        match union(authorizers).authorize(&user, &request).await {
            Ok(Decision::Allow { reason }) => format!("allow: {reason}"),
            Ok(Decision::Deny { reason }) => format!("deny: {reason}"),
            Ok(Decision::NoOpinion { reason }) => format!("no opinion: {reason}"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn first_definite_answer_decides() {
        let answer = ask(vec![no_opinion("x"), allow("a"), deny("d")]).await;
        assert_eq!(answer, "allow: a");
        assert_eq!(ask(vec![deny("d"), allow("a")]).await, "deny: d");
    }

    #[tokio::test]
    async fn nobody_with_an_opinion_leaves_the_reasons() {
        assert_eq!(ask(vec![]).await, "no opinion: ");
        let answer = ask(vec![no_opinion("x"), no_opinion(""), no_opinion("y")]).await;
        assert_eq!(answer, "no opinion: x\ny");
    }

    #[tokio::test]
    async fn failure_is_the_answer_unless_somebody_decides() {
        assert_eq!(ask(vec![Fixed::Fails("sar"), allow("a")]).await, "allow: a");
        assert_eq!(
            ask(vec![Fixed::Fails("sar"), no_opinion("x")]).await,
            "authorizer sar is unavailable"
        );
        assert_eq!(
            ask(vec![Fixed::Fails("sar"), Fixed::Fails("rbac")]).await,
            "[authorizer sar is unavailable, authorizer rbac is unavailable]"
        );
    }

    #[tokio::test]
    async fn request_without_a_verb_is_denied_even_to_masters() {
        let masters = Arc::new(PrivilegedGroup::system_masters());
        let root = UserInfo {
            groups: vec!["system:masters".to_owned()],
            ..UserInfo::named("root")
        };
        let decision = AuthorizerUnion::new(vec![masters])
            .authorize(&root, &Attributes::resource("", "", "pods"))
            .await
            .unwrap();
        let reason = "the request has no verb".to_owned();
        assert_eq!(decision, Decision::Deny { reason });
    }

    #[tokio::test]
    async fn masters_may_do_everything_and_others_only_free_paths() {
        let union = AuthorizerUnion::new(vec![
            Arc::new(PrivilegedGroup::system_masters()),
            Arc::new(AlwaysAllowPaths::new(["/livez"]).unwrap()),
        ]);
        let member = |group: &str| UserInfo {
            groups: vec![group.to_owned()],
            ..UserInfo::named("alice")
        };
        let requests = [
            Attributes::path("get", "/livez"),
            Attributes::path("get", "/metrics"),
            Attributes::resource("delete", "", "secrets"),
        ];
        for (user, expected) in [
            (member("system:masters"), [true, true, true]),
            (member(ALL_AUTHENTICATED), [true, false, false]),
        ] {
            for (request, expected) in requests.iter().zip(expected) {
                let decision = union.authorize(&user, request).await.unwrap();
                assert_eq!(decision.is_allowed(), expected, "{user:?} {request:?}");
            }
        }
    }

    #[tokio::test]
    async fn rules_of_a_failing_authorizer_make_the_review_incomplete() {
        let rules = union(vec![allow(""), Fixed::Fails("sar")])
            .rules(&UserInfo::named("alice"), "shop")
            .await
            .unwrap();
        let expected = Rules {
            evaluation_error: Some("authorizer sar is unavailable".to_owned()),
            incomplete: true,
            ..Rules::default()
        };
        assert_eq!(rules, expected);
    }
}
