//! Reviews with an authorizer that records its questions, and whose answer is the verb.

use std::sync::Arc;

use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules};
use auth::{Attributes, Authorizer, Decision, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::server::{ROOT, Server, start_with};
use crate::statuses::{cause, invalid};

const GROUP: &str = "authorization.k8s.io";
const AUTHORIZATION: &str = "POST /apis/authorization.k8s.io/v1";

/// Answers with the decision that the verb names: `allow`, `deny`, `skip` or `fail`. It allows to
/// create and list, so that reviews can be created.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<Question>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Question {
    user: UserInfo,
    attributes: Attributes,
}

#[async_trait]
impl Authorizer for Scripted {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let reason = "the verb says so".to_owned();
        if !matches!(attributes.verb.as_str(), "create" | "list") {
            let (user, attributes) = (user.clone(), attributes.clone());
            self.asked.lock().push(Question { user, attributes });
        }
        match attributes.verb.as_str() {
            "create" | "list" => Ok(Decision::Allow {
                reason: String::new(),
            }),
            "allow" => Ok(Decision::Allow { reason }),
            "deny" => Ok(Decision::Deny { reason }),
            "skip" => Ok(Decision::NoOpinion { reason }),
            _ => Err(unavailable()),
        }
    }

    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError> {
        if namespace == "broken" {
            return Err(unavailable());
        }
        Ok(Rules {
            resource_rules: vec![ResourceRule {
                verbs: vec!["get".to_owned()],
                resources: Some(vec![format!("{}-in-{namespace}", user.name)]),
                ..ResourceRule::default()
            }],
            non_resource_rules: vec![NonResourceRule {
                verbs: vec!["get".to_owned()],
                non_resource_urls: Some(vec!["/version".to_owned()]),
            }],
            incomplete: true,
            evaluation_error: Some("one source is missing".to_owned()),
        })
    }
}

fn unavailable() -> AuthorizerError {
    AuthorizerError::Unavailable {
        authorizer: "scripted",
        source: "the script ends here".into(),
    }
}

struct Reviewed {
    server: Server,
    authorizer: Arc<Scripted>,
}

async fn scripted() -> Reviewed {
    let authorizer = Arc::new(Scripted::default());
    let server = start_with(Arc::clone(&authorizer) as Arc<dyn Authorizer>).await;
    Reviewed { server, authorizer }
}

impl Reviewed {
    async fn create(&self, code: u16, plural: &str, body: Value) -> Value {
        let line = format!("{AUTHORIZATION}/{plural}");
        self.server.call(code, "alice/dev", &line, body).await
    }

    /// Returns the only question that the authorizer was asked since the last call.
    fn asked(&self) -> Question {
        let asked = std::mem::take(&mut *self.authorizer.asked.lock());
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

fn alice() -> UserInfo {
    UserInfo {
        groups: vec!["dev".to_owned(), "system:authenticated".to_owned()],
        ..UserInfo::named("alice")
    }
}

fn about(verb: &str) -> Value {
    json!({"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}})
}

/// The plural and the spec of each review of a single request.
fn reviews(verb: &str) -> [(&'static str, Value); 3] {
    let mut other = about(verb);
    other["user"] = "bob".into();
    [
        ("selfsubjectaccessreviews", about(verb)),
        ("subjectaccessreviews", other.clone()),
        ("namespaces/default/localsubjectaccessreviews", other),
    ]
}

#[tokio::test]
async fn the_status_is_the_decision() {
    let reviewed = scripted().await;
    let reason = "the verb says so";
    let error = "authorizer scripted is unavailable";
    let statuses = [
        ("allow", json!({"allowed": true, "reason": reason})),
        (
            "deny",
            json!({"allowed": false, "denied": true, "reason": reason}),
        ),
        ("skip", json!({"allowed": false, "reason": reason})),
        ("fail", json!({"allowed": false, "evaluationError": error})),
    ];
    for (verb, status) in statuses {
        for (plural, spec) in reviews(verb) {
            let body = json!({"spec": spec, "status": {"allowed": true, "reason": "forged"}});
            let answer = reviewed.create(201, plural, body).await;
            assert_eq!(answer["status"], status, "{verb} {plural}");
            assert_eq!(answer["spec"], spec, "{verb} {plural}");
        }
    }
}

#[tokio::test]
async fn the_authorizer_is_asked_about_every_attribute() {
    let reviewed = scripted().await;
    let resource = json!({
        "verb": "skip",
        "group": "apps",
        "version": "v1",
        "resource": "deployments",
        "subresource": "scale",
        "namespace": "default",
        "name": "web",
    });
    let attributes = Attributes::resource("skip", "apps", "deployments")
        .version("v1")
        .subresource("scale")
        .in_namespace("default")
        .object("web");
    let spec = json!({"resourceAttributes": resource});
    reviewed
        .create(201, "selfsubjectaccessreviews", json!({"spec": spec}))
        .await;
    let expected = Question {
        user: alice(),
        attributes: attributes.clone(),
    };
    assert_eq!(reviewed.asked(), expected);

    let bob = UserInfo {
        name: "bob".to_owned(),
        uid: "7".to_owned(),
        groups: vec!["ops".to_owned()],
        extra: [("scopes".to_owned(), vec!["a".to_owned()])].into(),
    };
    let spec = json!({
        "resourceAttributes": resource,
        "user": "bob",
        "uid": "7",
        "groups": ["ops"],
        "extra": {"scopes": ["a"]},
    });
    let expected = Question {
        user: bob,
        attributes,
    };
    for plural in [
        "subjectaccessreviews",
        "namespaces/default/localsubjectaccessreviews",
    ] {
        reviewed.create(201, plural, json!({"spec": spec})).await;
        assert_eq!(reviewed.asked(), expected, "{plural}");
    }
}

#[tokio::test]
async fn a_review_of_a_path_is_about_the_path() {
    let reviewed = scripted().await;
    let path = json!({"verb": "skip", "path": "/metrics"});
    let attributes = Attributes::path("skip", "/metrics");
    let spec = json!({"nonResourceAttributes": path});
    reviewed
        .create(201, "selfsubjectaccessreviews", json!({"spec": spec}))
        .await;
    let expected = Question {
        user: alice(),
        attributes: attributes.clone(),
    };
    assert_eq!(reviewed.asked(), expected);
    // A group alone is a subject.
    let spec = json!({"nonResourceAttributes": path, "groups": ["ops"]});
    reviewed
        .create(201, "subjectaccessreviews", json!({"spec": spec}))
        .await;
    let user = UserInfo {
        groups: vec!["ops".to_owned()],
        ..UserInfo::default()
    };
    assert_eq!(reviewed.asked(), Question { user, attributes });
}

#[tokio::test]
async fn a_review_without_a_version_is_about_all_versions() {
    let reviewed = scripted().await;
    for version in [json!(null), json!("")] {
        let asked = json!({"verb": "skip", "resource": "pods", "version": version});
        let body = json!({"spec": {"resourceAttributes": asked}});
        reviewed.create(201, "selfsubjectaccessreviews", body).await;
        let expected = Attributes::resource("skip", "", "pods").version("*");
        assert_eq!(reviewed.asked().attributes, expected);
    }
}

#[tokio::test]
async fn the_rules_are_those_of_the_caller_in_the_namespace() {
    let reviewed = scripted().await;
    let body = json!({"spec": {"namespace": "shop"}});
    let answer = reviewed.create(201, "selfsubjectrulesreviews", body).await;
    let expected = json!({
        "kind": "SelfSubjectRulesReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {},
        "status": {
            "resourceRules": [{"verbs": ["get"], "resources": ["alice-in-shop"]}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}],
            "incomplete": true,
            "evaluationError": "one source is missing",
        },
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn rules_that_cannot_be_read_are_incomplete() {
    let reviewed = scripted().await;
    let body = json!({"spec": {"namespace": "broken"}});
    let answer = reviewed.create(201, "selfsubjectrulesreviews", body).await;
    let expected = json!({
        "resourceRules": [],
        "nonResourceRules": [],
        "incomplete": true,
        "evaluationError": "authorizer scripted is unavailable",
    });
    assert_eq!(answer["status"], expected);
}

#[tokio::test]
async fn a_review_has_one_target_and_a_subject() {
    let reviewed = scripted().await;
    let none = cause(
        "FieldValueInvalid",
        "spec.resourceAttributes",
        "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
    );
    let both = cause(
        "FieldValueInvalid",
        "spec.nonResourceAttributes",
        r#"Invalid value: {"path":"/","verb":"allow"}: cannot be specified in combination with resourceAttributes"#,
    );
    let no_subject = cause(
        "FieldValueInvalid",
        "spec.user",
        r#"Invalid value: "": at least one of user or group must be specified"#,
    );
    let local = cause(
        "FieldValueInvalid",
        "spec.nonResourceAttributes",
        r#"Invalid value: {"path":"/","verb":"allow"}: disallowed on this kind of request"#,
    );
    let mut two = about("allow");
    two["nonResourceAttributes"] = json!({"verb": "allow", "path": "/"});
    let path = json!({"nonResourceAttributes": {"verb": "allow", "path": "/"}, "user": "bob"});
    let plural = "selfsubjectaccessreviews";
    let kind = "SelfSubjectAccessReview";
    let refused = reviewed.create(422, plural, json!({"spec": {}})).await;
    assert_eq!(
        refused,
        invalid(kind, GROUP, "", std::slice::from_ref(&none))
    );
    let refused = reviewed.create(422, plural, json!({"spec": two})).await;
    assert_eq!(
        refused,
        invalid(kind, GROUP, "", std::slice::from_ref(&both))
    );

    let plural = "subjectaccessreviews";
    let kind = "SubjectAccessReview";
    let refused = reviewed.create(422, plural, json!({"spec": {}})).await;
    assert_eq!(
        refused,
        invalid(kind, GROUP, "", &[none.clone(), no_subject.clone()])
    );
    let refused = reviewed.create(422, plural, json!({"spec": two})).await;
    assert_eq!(
        refused,
        invalid(kind, GROUP, "", &[both, no_subject.clone()])
    );

    let plural = "namespaces/default/localsubjectaccessreviews";
    let kind = "LocalSubjectAccessReview";
    let refused = reviewed.create(422, plural, json!({"spec": {}})).await;
    assert_eq!(refused, invalid(kind, GROUP, "", &[none, no_subject]));
    let refused = reviewed.create(422, plural, json!({"spec": path})).await;
    assert_eq!(refused, invalid(kind, GROUP, "", &[local]));
    assert!(reviewed.authorizer.asked.lock().is_empty());
}

#[tokio::test]
async fn a_review_has_no_metadata() {
    let reviewed = scripted().await;
    for (plural, spec) in reviews("allow") {
        let is_local = plural.starts_with("namespaces/");
        let body = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
        let refused = reviewed.create(422, plural, body).await;
        let (value, text) = match is_local {
            true => (
                r#"{"labels":{"a":"b"},"namespace":"default"}"#,
                "must be empty except for namespace",
            ),
            false => (r#"{"labels":{"a":"b"}}"#, "must be empty"),
        };
        let expected = cause(
            "FieldValueInvalid",
            "metadata",
            &format!("Invalid value: {value}: {text}"),
        );
        assert_eq!(refused["details"]["causes"], json!([expected]), "{plural}");
    }
    assert!(reviewed.authorizer.asked.lock().is_empty());
}

#[tokio::test]
async fn a_local_review_is_about_its_namespace() {
    let reviewed = scripted().await;
    let plural = "namespaces/default/localsubjectaccessreviews";
    let text = r#"Invalid value: "": must match metadata.namespace"#;
    let field = "spec.resourceAttributes.namespace";
    let spec = json!({"resourceAttributes": {"verb": "allow", "resource": "pods"}, "user": "bob"});
    let refused = reviewed.create(422, plural, json!({"spec": spec})).await;
    let causes = [cause("FieldValueInvalid", field, text)];
    let expected = invalid("LocalSubjectAccessReview", GROUP, "", &causes);
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn reviews_are_only_created() {
    let reviewed = scripted().await;
    for (plural, _) in reviews("allow") {
        let line = format!("GET /apis/authorization.k8s.io/v1/{plural}");
        let answer = reviewed.server.http.call(ROOT, &line, None).await;
        assert_eq!(answer.code, 405, "{plural}: {}", answer.body);
    }
}
