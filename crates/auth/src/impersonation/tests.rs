use super::*;
use crate::user::ALL_AUTHENTICATED;

fn wanted(headers: &[(&'static str, &'static str)]) -> Impersonation {
    Impersonation::from_headers(headers.iter().copied())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn headers_are_read_in_any_case() {
    let impersonation = wanted(&[
        ("Impersonate-User", "bob"),
        ("IMPERSONATE-GROUP", "dev"),
        ("impersonate-group", "ops"),
        ("Impersonate-Uid", "u1"),
        ("Impersonate-Extra-Scopes", "view"),
        ("Impersonate-Extra-scopes", "edit"),
        ("Impersonate-Extra-Acme.com%2FProject", "p1"),
        ("Impersonate-Extra-100%", "x"),
        ("Authorization", "Bearer t"),
    ]);
    let expected = Impersonation {
        user: "bob".to_owned(),
        uid: "u1".to_owned(),
        groups: texts(&["dev", "ops"]),
        extra: BTreeMap::from([
            ("100%".to_owned(), texts(&["x"])),
            ("acme.com/project".to_owned(), texts(&["p1"])),
            ("scopes".to_owned(), texts(&["view", "edit"])),
        ]),
    };
    assert_eq!(impersonation, expected);
}

#[test]
fn first_user_and_uid_count() {
    let impersonation = wanted(&[
        ("Impersonate-User", "bob"),
        ("Impersonate-User", "carol"),
        ("Impersonate-Uid", "u1"),
        ("Impersonate-Uid", "u2"),
    ]);
    let expected = Impersonation {
        user: "bob".to_owned(),
        uid: "u1".to_owned(),
        ..Impersonation::default()
    };
    assert_eq!(impersonation, expected);
}

#[test]
fn user_that_is_no_text_is_still_another_user() {
    let headers = [("Impersonate-User", b"j\xfcrgen".as_slice())];
    let expected = Impersonation {
        user: "j\u{fffd}rgen".to_owned(),
        ..Impersonation::default()
    };
    assert_eq!(Impersonation::from_headers(headers), expected);
}

#[test]
fn impersonation_headers_are_told_from_others() {
    #[track_caller]
    fn check(name: &str, expected: bool) {
        assert_eq!(Impersonation::is_impersonation_header(name), expected);
    }
    check("Impersonate-User", true);
    check("impersonate-GROUP", true);
    check("Impersonate-Uid", true);
    check("Impersonate-Extra-Scopes", true);
    check("Impersonate-Extra-", true);
    check("Impersonate", false);
    check("X-Impersonate-User", false);
}

#[test]
fn nothing_requested_needs_nothing() {
    let impersonation = wanted(&[("Impersonate-User", "")]);
    assert!(!impersonation.is_requested());
    assert_eq!(impersonation.attributes(), Ok(vec![]));
}

#[test]
fn every_part_is_authorized_in_order() {
    let impersonation = wanted(&[
        ("Impersonate-Extra-Scopes", "view"),
        ("Impersonate-Uid", "u1"),
        ("Impersonate-Group", "system:masters"),
        ("Impersonate-User", "bob"),
        ("Impersonate-Extra-Project", "p1"),
        ("Impersonate-Extra-Project", "p2"),
    ]);
    let extra = |key, value| {
        impersonate("authentication.k8s.io", "userextras")
            .version("v1")
            .subresource(key)
            .object(value)
    };
    let expected = vec![
        impersonate("", "users").object("bob"),
        impersonate("", "groups").object("system:masters"),
        extra("project", "p1"),
        extra("project", "p2"),
        extra("scopes", "view"),
        impersonate("authentication.k8s.io", "uids")
            .version("v1")
            .object("u1"),
    ];
    assert_eq!(impersonation.attributes(), Ok(expected));
}

#[test]
fn service_account_is_authorized_in_its_namespace() {
    let impersonation = wanted(&[("Impersonate-User", "system:serviceaccount:shop:bot")]);
    let expected = impersonate("", "serviceaccounts")
        .in_namespace("shop")
        .object("bot");
    assert_eq!(impersonation.attributes(), Ok(vec![expected]));
}

#[test]
fn malformed_service_account_is_authorized_as_a_user() {
    let impersonation = wanted(&[("Impersonate-User", "system:serviceaccount:shop")]);
    let expected = impersonate("", "users").object("system:serviceaccount:shop");
    assert_eq!(impersonation.attributes(), Ok(vec![expected]));
}

#[test]
fn parts_without_a_user_are_an_error() {
    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: &str) {
        let error = wanted(headers).attributes().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    check(
        &[("Impersonate-Group", "g")],
        "requested [{Group  g    }] without impersonating a user",
    );
    check(
        &[("Impersonate-Uid", "u"), ("Impersonate-User", "")],
        "requested [{UID  u  authentication.k8s.io/v1  }] without impersonating a user",
    );
    check(
        &[
            ("Impersonate-Extra-Scopes", "view"),
            ("Impersonate-Group", "g"),
        ],
        "requested [{Group  g    } {UserExtra  view  authentication.k8s.io/v1  scopes}] \
         without impersonating a user",
    );
}

#[test]
fn groups_of_the_new_identity_are_completed() {
    #[track_caller]
    fn check(user: &'static str, groups: &[&'static str], expected: &[&str]) {
        let mut headers = vec![("Impersonate-User", user)];
        headers.extend(groups.iter().map(|group| ("Impersonate-Group", *group)));
        let identity = wanted(&headers).identity().unwrap();
        assert_eq!(identity.groups, texts(expected));
    }
    check("bob", &[], &["system:authenticated"]);
    check("bob", &["dev"], &["dev", "system:authenticated"]);
    check(
        "bob",
        &["system:authenticated", "dev"],
        &["system:authenticated", "dev"],
    );
    check(
        "bob",
        &["system:unauthenticated"],
        &["system:unauthenticated"],
    );
    check(
        "system:serviceaccount:shop:bot",
        &[],
        &[
            "system:serviceaccounts",
            "system:serviceaccounts:shop",
            "system:authenticated",
        ],
    );
    check(
        "system:serviceaccount:shop:bot",
        &["dev"],
        &["dev", "system:authenticated"],
    );
    check("system:anonymous", &[], &["system:unauthenticated"]);
    check(
        "system:anonymous",
        &["system:unauthenticated"],
        &["system:unauthenticated"],
    );
    check(
        "system:anonymous",
        &["system:authenticated"],
        &["system:authenticated", "system:unauthenticated"],
    );
}

#[test]
fn uid_and_extra_belong_to_the_new_identity() {
    let user = wanted(&[
        ("Impersonate-User", "bob"),
        ("Impersonate-Uid", "u1"),
        ("Impersonate-Extra-Scopes", "view"),
    ])
    .identity();
    let expected = UserInfo {
        name: "bob".to_owned(),
        uid: "u1".to_owned(),
        groups: texts(&[ALL_AUTHENTICATED]),
        extra: BTreeMap::from([("scopes".to_owned(), texts(&["view"]))]),
    };
    assert_eq!(user.map(Identity::into_user), Ok(expected));
}

#[test]
fn a_name_that_cannot_be_asserted_is_refused_before_anything_is_authorized() {
    #[track_caller]
    fn check(header: &'static str, value: &'static str, expected: &str) {
        let alice = ("Impersonate-User", "alice");
        let headers = match header {
            "Impersonate-User" => vec![(header, value)],
            _ => vec![alice, (header, value)],
        };
        let error = wanted(&headers).attributes().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    check(
        "Impersonate-User",
        " bob",
        "the impersonated user name \" bob\" must not begin or end with white space",
    );
    check(
        "Impersonate-Group",
        "",
        "the impersonated group \"\" must not be empty",
    );
    check(
        "Impersonate-Group",
        "System:masters",
        "the impersonated group \"System:masters\" must not be another spelling of a name that begins with \"system:\"",
    );
    check(
        "Impersonate-Uid",
        "7\u{200b}",
        "the impersonated uid \"7\\u{200b}\" must not begin or end with white space",
    );
    check(
        "Impersonate-Extra-Scopes",
        "\u{a0}view",
        "the impersonated extra value \"\\u{a0}view\" must not begin or end with white space",
    );
}

#[test]
fn the_case_of_an_extra_key_is_lost_before_it_is_authorized() {
    let asked = [
        ("Impersonate-User", "bob"),
        ("Impersonate-Extra-Sc%4Fpes", "view"),
    ];
    let extra = wanted(&asked).asserted().unwrap().into_user().extra;
    assert_eq!(
        extra,
        BTreeMap::from([("scopes".to_owned(), texts(&["view"]))])
    );
}
