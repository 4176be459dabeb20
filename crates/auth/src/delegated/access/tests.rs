use std::collections::BTreeMap;
use std::error::Error;

use jiff::SignedDuration;
use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::testing::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::delegated::fixtures::{self, Host, KEY};

type AccessHost = Host<SubjectAccessReviewSpec, SubjectAccessReviewStatus>;

fn authorizer(
    answers: impl IntoIterator<Item = SubjectAccessReviewStatus>,
) -> (DelegatedAuthorizer, Arc<AccessHost>, Arc<ManualClock>) {
    let (host, clock) = (Host::answering(answers), fixtures::clock());
    let reviewer = Arc::clone(&host) as Arc<dyn AccessReviewer>;
    let authorizer = DelegatedAuthorizer::new(reviewer, &KEY, Arc::clone(&clock) as _);
    (authorizer, host, clock)
}

fn status(allowed: bool, denied: bool, reason: &str) -> SubjectAccessReviewStatus {
    SubjectAccessReviewStatus {
        allowed,
        denied: Some(denied),
        reason: Some(reason.to_owned()),
        evaluation_error: None,
    }
}

fn yes() -> SubjectAccessReviewStatus {
    status(true, false, "")
}

fn no() -> SubjectAccessReviewStatus {
    status(false, false, "")
}

/// Returns the decision as text, or the error with its causes.
async fn ask(authorizer: &DelegatedAuthorizer, user: &UserInfo, attributes: &Attributes) -> String {
    match authorizer.authorize(user, attributes).await {
        Ok(Decision::Allow { reason }) => format!("allow {reason}"),
        Ok(Decision::Deny { reason }) => format!("deny {reason}"),
        Ok(Decision::NoOpinion { reason }) => format!("no opinion {reason}"),
        Err(error) => {
            let review = error.source().unwrap();
            format!("{error}: {review}: {}", review.source().unwrap())
        }
    }
}

fn alice() -> UserInfo {
    UserInfo::named("alice")
}

fn notes(verb: &str) -> Attributes {
    Attributes::resource(verb, "g.io", "notes")
}

const DOWN: &str = "authorizer subject access review is unavailable: the review request failed: connection refused";

#[tokio::test]
async fn review_asks_for_the_whole_request() {
    let user = UserInfo {
        name: "alice".to_owned(),
        uid: "u-1".to_owned(),
        groups: vec!["dev".to_owned(), "ops".to_owned()],
        extra: BTreeMap::from([("scopes".to_owned(), vec!["read".to_owned()])]),
    };
    let get = notes("get").version("v1").in_namespace("n");
    let get = get.object("x").subresource("status");
    let who = json!({ "user": "alice", "uid": "u-1", "groups": ["dev", "ops"], "extra": { "scopes": ["read"] } });
    let check = async |user: &UserInfo, attributes: &Attributes, who: &Value, what: Value| {
        let (authorizer, host, _) = authorizer([yes()]);
        assert_eq!(ask(&authorizer, user, attributes).await, "allow ");
        let mut expected = who.clone();
        expected
            .as_object_mut()
            .unwrap()
            .extend(what.as_object().unwrap().clone());
        assert_eq!(json!(host.asked()), json!([expected]));
    };
    let what = json!({ "resourceAttributes": { "verb": "get", "group": "g.io", "version": "v1", "resource": "notes",
        "subresource": "status", "namespace": "n", "name": "x" } });
    check(&user, &get, &who, what).await;
    let what = json!({ "resourceAttributes": { "verb": "list", "resource": "pods" } });
    let pods = Attributes::resource("list", "", "pods");
    check(&alice(), &pods, &json!({ "user": "alice" }), what).await;
    let what = json!({ "nonResourceAttributes": { "verb": "get", "path": "/metrics" } });
    let path = Attributes::path("get", "/metrics");
    check(&alice(), &path, &json!({ "user": "alice" }), what).await;
}

#[tokio::test]
async fn review_asks_for_what_is_selected() {
    let (authorizer, host, _) = authorizer([yes(), yes()]);
    let mut list = notes("list");
    list.field_selector = FieldSelector::parse("metadata.name=x,metadata.namespace!=y").unwrap();
    let labels = "a=1,b==2,c!=3,d in (4,5),e notin (6),f,!g,h>7,i<8";
    list.label_selector = LabelSelector::parse(labels).unwrap();
    ask(&authorizer, &alice(), &list).await;
    list.label_selector = LabelSelector::parse("h>7").unwrap();
    ask(&authorizer, &alice(), &list).await;
    let asked = host.asked();
    let [all, fields] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let all = all.resource_attributes.as_ref().unwrap();
    let expected = json!([
        { "key": "metadata.name", "operator": "In", "values": ["x"] },
        { "key": "metadata.namespace", "operator": "NotIn", "values": ["y"] },
    ]);
    assert_eq!(
        json!(all.field_selector),
        json!({ "requirements": expected })
    );
    let expected = json!([
        { "key": "a", "operator": "In", "values": ["1"] },
        { "key": "b", "operator": "In", "values": ["2"] },
        { "key": "c", "operator": "NotIn", "values": ["3"] },
        { "key": "d", "operator": "In", "values": ["4", "5"] },
        { "key": "e", "operator": "NotIn", "values": ["6"] },
        { "key": "f", "operator": "Exists" },
        { "key": "g", "operator": "DoesNotExist" },
    ]);
    assert_eq!(
        json!(all.label_selector),
        json!({ "requirements": expected })
    );
    let fields = fields.resource_attributes.as_ref().unwrap();
    assert_eq!(fields.label_selector, None);
}

#[tokio::test]
async fn only_a_plain_yes_allows() {
    let check = async |answer: SubjectAccessReviewStatus, expected: &str| {
        let (authorizer, _, _) = authorizer([answer]);
        assert_eq!(ask(&authorizer, &alice(), &notes("get")).await, expected);
    };
    check(status(true, false, "a"), "allow a").await;
    check(status(false, true, "d"), "deny d").await;
    check(status(false, false, "n"), "no opinion n").await;
    check(SubjectAccessReviewStatus::default(), "no opinion ").await;
    let both = "authorizer subject access review is unavailable: the review request failed: both allowed and denied";
    check(status(true, true, "b"), both).await;
}

#[tokio::test]
async fn yes_and_no_are_remembered_for_ten_seconds() {
    let (authorizer, host, clock) = authorizer([yes(), no(), no(), yes()]);
    for _ in 0..2 {
        assert_eq!(ask(&authorizer, &alice(), &notes("get")).await, "allow ");
        let list = ask(&authorizer, &alice(), &notes("list")).await;
        assert_eq!(list, "no opinion ");
        clock.advance(SignedDuration::from_millis(9_999));
    }
    assert_eq!(host.asked().len(), 2);
    clock.advance(SignedDuration::from_millis(1));
    let get = ask(&authorizer, &alice(), &notes("get")).await;
    assert_eq!(get, "no opinion ");
    assert_eq!(ask(&authorizer, &alice(), &notes("list")).await, "allow ");
}

#[tokio::test]
async fn everything_about_the_caller_and_the_request_is_a_question_of_its_own() {
    let mut list = notes("list");
    list.label_selector = LabelSelector::parse("a=1").unwrap();
    let mut questions = vec![
        (alice(), notes("get")),
        (alice(), notes("list")),
        (alice(), list),
        (alice(), notes("get").object("x")),
        (alice(), notes("get").in_namespace("x")),
        (alice(), notes("get").subresource("x")),
        (alice(), notes("get").version("x")),
        (alice(), Attributes::path("get", "x")),
        (UserInfo::named("bob"), notes("get")),
    ];
    for groups in [&["dev"][..], &["ops"], &["dev", "ops"]] {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        questions.push((UserInfo { groups, ..alice() }, notes("get")));
    }
    let uid = "u".to_owned();
    questions.push((UserInfo { uid, ..alice() }, notes("get")));
    let extra = BTreeMap::from([("k".to_owned(), vec!["v".to_owned()])]);
    questions.push((UserInfo { extra, ..alice() }, notes("get")));

    let (authorizer, host, _) = authorizer(questions.iter().map(|_| yes()));
    for (user, attributes) in &questions {
        assert_eq!(ask(&authorizer, user, attributes).await, "allow ");
    }
    assert_eq!(host.asked().len(), questions.len());
}

#[tokio::test]
async fn host_that_is_down_refuses_what_it_did_not_allow_a_moment_ago() {
    let (authorizer, _, clock) = authorizer([yes()]);
    assert_eq!(ask(&authorizer, &alice(), &notes("get")).await, "allow ");
    assert_eq!(ask(&authorizer, &alice(), &notes("list")).await, DOWN);
    clock.advance(SignedDuration::from_millis(9_999));
    assert_eq!(ask(&authorizer, &alice(), &notes("get")).await, "allow ");
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(ask(&authorizer, &alice(), &notes("get")).await, DOWN);
}

#[tokio::test]
async fn huge_requests_are_not_remembered() {
    let (authorizer, host, _) = authorizer((0..3).map(|_| yes()));
    // "get", "g.io" and "notes" are the other twelve bytes.
    for (bytes, asked) in [(9_987, 1), (9_988, 2)] {
        let get = notes("get").object(&"x".repeat(bytes));
        for _ in 0..2 {
            assert_eq!(ask(&authorizer, &alice(), &get).await, "allow ");
        }
        assert_eq!(host.asked().len(), asked, "{bytes}");
    }
}

#[tokio::test]
async fn rules_are_not_known() {
    let (authorizer, _, _) = authorizer([]);
    let rules = authorizer.rules(&alice(), "n").await.unwrap();
    let none = Rules {
        incomplete: true,
        ..Rules::default()
    };
    assert_eq!(rules, none);
}
