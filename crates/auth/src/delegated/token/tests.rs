use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo as ReviewedUser;
use machinery::testing::ManualClock;

use super::*;
use crate::delegated::fixtures::{self, Host, KEY};
use crate::request_headers::NoHeaders;

type TokenHost = Host<TokenReviewSpec, TokenReviewStatus>;

fn yes(name: &str) -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(true),
        user: Some(ReviewedUser {
            username: Some(name.to_owned()),
            ..ReviewedUser::default()
        }),
        ..TokenReviewStatus::default()
    }
}

fn no() -> TokenReviewStatus {
    TokenReviewStatus::default()
}

fn for_audiences(audiences: &[&str]) -> TokenReviewStatus {
    TokenReviewStatus {
        audiences: Some(owned(audiences)),
        ..yes("alice")
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn authenticator(
    answers: impl IntoIterator<Item = TokenReviewStatus>,
) -> (DelegatedAuthenticator, Arc<TokenHost>, Arc<ManualClock>) {
    let (host, clock) = (Host::answering(answers), fixtures::clock());
    let reviewer = Arc::clone(&host) as Arc<dyn TokenReviewer>;
    let authenticator = DelegatedAuthenticator::new(reviewer, &KEY, Arc::clone(&clock) as _);
    (authenticator, host, clock)
}

/// Returns the result without its login.
async fn ask(authenticator: &DelegatedAuthenticator, bearer: Option<&str>) -> Authentication {
    let credentials = Credentials {
        certificates: &[],
        bearer,
        headers: &NoHeaders,
    };
    match authenticator.authenticate(&credentials).await {
        Authentication::Authenticated(identity) => Authentication::of(identity.into_user()),
        other => other,
    }
}

#[tokio::test]
async fn a_cached_answer_is_a_login_at_the_time_of_the_question() {
    let (authenticator, _, clock) = authenticator([yes("alice")]);
    let credentials = Credentials {
        certificates: &[],
        bearer: Some("a"),
        headers: &NoHeaders,
    };
    let first = authenticator.authenticate(&credentials).await;
    let login = Login::by_host(None, clock.now());
    let expected = Authentication::by_login(UserInfo::named("alice"), login);
    assert_eq!(first, expected);
    clock.advance(SignedDuration::from_secs(5));
    assert_eq!(authenticator.authenticate(&credentials).await, expected);
}

fn is(name: &str) -> Authentication {
    Authentication::of(UserInfo::named(name))
}

fn unknown() -> Authentication {
    Authentication::failed("the TokenReview does not authenticate the bearer token")
}

fn down() -> Authentication {
    Authentication::failed("the review request failed: connection refused")
}

#[tokio::test]
async fn user_is_who_the_review_says() {
    let extra = BTreeMap::from([("scopes".to_owned(), owned(&["read"]))]);
    let mut answer = yes("alice");
    answer.user = Some(ReviewedUser {
        username: Some("alice".to_owned()),
        uid: Some("u-1".to_owned()),
        groups: Some(owned(&["dev"])),
        extra: Some(extra.clone()),
    });
    let (authenticator, host, _) = authenticator([answer]);
    let alice = UserInfo {
        name: "alice".to_owned(),
        uid: "u-1".to_owned(),
        groups: owned(&["dev"]),
        extra,
    };
    let outcome = ask(&authenticator, Some("t")).await;
    assert_eq!(outcome, Authentication::of(alice));
    let token = "t".to_owned();
    let audiences = None;
    assert_eq!(host.asked(), [TokenReviewSpec { audiences, token }]);
}

#[tokio::test]
async fn request_without_a_token_asks_nobody() {
    let (authenticator, host, _) = authenticator([yes("alice")]);
    assert_eq!(
        ask(&authenticator, None).await,
        Authentication::NotRequested
    );
    assert_eq!(host.asked(), []);
}

#[tokio::test]
async fn answers_count_for_as_long_as_is_said() {
    for (secs, asked) in [(0, 3), (60, 2)] {
        let (authenticator, host, clock) =
            authenticator([yes("alice"), yes("alice"), yes("alice")]);
        let authenticator = authenticator.remembering(SignedDuration::from_secs(secs));
        for millis in [0, 59_999, 1] {
            clock.advance(SignedDuration::from_millis(millis));
            assert_eq!(ask(&authenticator, Some("a")).await, is("alice"));
        }
        assert_eq!(host.asked().len(), asked, "{secs}");
    }
}

#[tokio::test]
async fn yes_and_no_are_remembered_for_ten_seconds_by_token() {
    let (authenticator, host, clock) = authenticator([yes("alice"), no(), no(), yes("bob")]);
    for _ in 0..2 {
        assert_eq!(ask(&authenticator, Some("a")).await, is("alice"));
        assert_eq!(ask(&authenticator, Some("b")).await, unknown());
        clock.advance(SignedDuration::from_millis(9_999));
    }
    assert_eq!(host.asked().len(), 2);
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(ask(&authenticator, Some("a")).await, unknown());
    assert_eq!(ask(&authenticator, Some("b")).await, is("bob"));
}

#[tokio::test]
async fn failure_is_never_remembered_and_never_anonymous() {
    let unchecked = TokenReviewStatus {
        error: Some("webhook is down".to_owned()),
        ..no()
    };
    let (authenticator, host, _) = authenticator([unchecked, yes("alice")]);
    let failed = Authentication::failed("the review request failed: webhook is down");
    assert_eq!(ask(&authenticator, Some("a")).await, failed);
    assert_eq!(ask(&authenticator, Some("a")).await, is("alice"));
    for _ in 0..2 {
        let outcome = ask(&authenticator, Some("b")).await.or_anonymous();
        assert_eq!(outcome, down());
    }
    assert_eq!(ask(&authenticator, Some("a")).await, is("alice"));
    assert_eq!(host.asked().len(), 4);
}

#[tokio::test]
async fn answer_that_names_nobody_recognises_nobody() {
    let nobody = TokenReviewStatus {
        user: None,
        ..yes("")
    };
    let (authenticator, _, _) = authenticator([nobody, yes("")]);
    assert_eq!(ask(&authenticator, Some("a")).await, unknown());
    assert_eq!(ask(&authenticator, Some("b")).await, unknown());
}

#[tokio::test]
async fn token_must_be_meant_for_an_audience_where_one_is_wanted() {
    let answers = [
        for_audiences(&["us", "others"]),
        for_audiences(&["others"]),
        for_audiences(&[]),
        yes("alice"),
    ];
    let (authenticator, host, _) = authenticator(answers);
    let authenticator = authenticator.audiences(owned(&["we", "us"]));
    assert_eq!(ask(&authenticator, Some("a")).await, is("alice"));
    for token in ["b", "c", "d"] {
        assert_eq!(ask(&authenticator, Some(token)).await, unknown());
    }
    let asked = host.asked();
    assert_eq!(asked[0].audiences, Some(owned(&["we", "us"])));
}
