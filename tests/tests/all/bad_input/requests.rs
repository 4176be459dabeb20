//! Bad requests other than bad bodies: queries, paths, methods, media types.

use e2e::Server;
use e2e::http::{Request, encode};
use e2e::server::Options;

use super::Target;
use crate::record;

#[test]
fn selectors_that_cannot_be_read() {
    let target = Target::new();
    for (selector, expected) in [
        (
            "=",
            "found '=', expected: !, identifier, or 'end of string'",
        ),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        (
            "a in",
            "unable to parse requirement: found '' expected: '('",
        ),
        (
            "a in (",
            "unable to parse requirement: found '', expected: ',', ')' or identifier",
        ),
        (
            "a in (b",
            "unable to parse requirement: found '', expected: ',' or ')'",
        ),
        (
            "!",
            "unable to parse requirement: found '', expected: identifier",
        ),
        ("a,,b", "found ',', expected: identifier after ','"),
        (
            "a=_",
            "unable to parse requirement: values[0][a]: Invalid value: \"_\": ..",
        ),
        (
            "-a=b",
            "unable to parse requirement: <nil>: Invalid value: \"-a\": ..",
        ),
        ("a\0=b", "unable to parse requirement: .."),
    ] {
        let expected = format!("400 BadRequest: {expected}");
        target.asked(&format!("labelSelector={}", encode(selector)), &expected);
        let delete = format!("labelSelector={}", encode(selector));
        let delete = Request::new("DELETE", record::PATH).query(&delete);
        target.check(&delete, &expected);
    }
    for (selector, expected) in [
        ("x", "invalid selector: 'x'; can't understand 'x'"),
        (
            "spec.ttl=1",
            "\"spec.ttl\" is not a known field selector: only \"metadata.name\", \
             \"metadata.namespace\", \"spec.clusters\", \"spec.tokenName\", \"status.userName\", \"status.expired\"",
        ),
    ] {
        let expected = format!("400 BadRequest: {expected}");
        target.asked(&format!("fieldSelector={}", encode(selector)), &expected);
    }
    target.assert_untouched();
}

#[test]
fn list_options_that_cannot_be_met() {
    let target = Target::new();
    let forged = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhXHUwMDAwIn0";
    for (query, expected) in [
        ("continue=x", "400 BadRequest: invalid continue token: .."),
        (
            &format!("continue={forged}"),
            "400 BadRequest: invalid continue token: ..",
        ),
        ("limit=x", "400 BadRequest: query parameter limit: .."),
        (
            "limit=99999999999999999999",
            "400 BadRequest: query parameter limit: ..",
        ),
        (
            "timeoutSeconds=x",
            "400 BadRequest: query parameter timeoutSeconds: ..",
        ),
        (
            "resourceVersion=x",
            "400 BadRequest: Invalid value: \"x\": ..",
        ),
        (
            "resourceVersion=-1",
            "400 BadRequest: Invalid value: \"-1\": ..",
        ),
        (
            "watch=true&resourceVersion=x",
            "400 BadRequest: Invalid value: \"x\": ..",
        ),
        (
            "resourceVersion=99999999",
            "504 Timeout: Timeout: Too large resource version: 99999999..",
        ),
        (
            "resourceVersionMatch=Exact",
            "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: \
             Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Foo",
            "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: ..",
        ),
        (
            "watch=true&sendInitialEvents=true",
            "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: \
             Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
    ] {
        target.asked(query, expected);
    }
    target.assert_untouched();
}

#[test]
fn paths_that_lead_nowhere() {
    let target = Target::new();
    let records = record::PATH;
    let long = format!("{records}/{}", "a".repeat(10_000));
    for (path, expected) in [
        (
            format!("{records}/.."),
            "400 BadRequest: Name parameter invalid: \"..\": may not be '..'",
        ),
        (
            format!("{records}/%2e%2e"),
            "400 BadRequest: Name parameter invalid: \"..\": may not be '..'",
        ),
        (
            format!("{records}/a%2Fb"),
            "400 BadRequest: Name parameter invalid: \"a/b\": may not contain '/'",
        ),
        (format!("{records}/%ff"), "400 BadRequest: .."),
        (format!("{records}/a%00b"), "404 NotFound: .."),
        (format!("{records}/A%20b%0a"), "404 NotFound: .."),
        (long, "404 NotFound: .."),
        (format!("{records}/x/status"), "403 Forbidden: .."),
        (format!("{records}/x/y/z"), "403 Forbidden: .."),
        (
            "/apis/ext.cattle.io/v1/namespaces/default/kubeconfigs".to_owned(),
            "404 404 page not found",
        ),
        (
            "/apis/ext.cattle.io/v2/kubeconfigs".to_owned(),
            "404 404 page not found",
        ),
        (
            "/api/v1/namespaces/..%2f../secrets".to_owned(),
            "403 Forbidden: ..",
        ),
        (
            "/../../etc/passwd".to_owned(),
            "403 Forbidden: forbidden: User \"alice\" cannot get ..",
        ),
    ] {
        target.check(&Request::get(&path), expected);
    }
    target.assert_untouched();
}

#[test]
fn heads_that_are_not_http() {
    let target = Target::new();
    for path in [
        format!("{}/a\0b", record::PATH),
        format!("{}/a b", record::PATH),
        String::new(),
    ] {
        let answer = target.alice.send(&Request::get(&path));
        assert!(answer.is_err() || answer.unwrap().status == 400, "{path:?}");
    }
    for (name, value) in [
        ("Content-Length", "x"),
        ("Content-Length", "-1"),
        ("X", "a\rb"),
        ("Transfer-Encoding", "chunked, identity"),
    ] {
        let request = Request::new("POST", record::PATH).header(name, value);
        let answer = target.alice.send(&request);
        assert!(
            answer.is_err() || answer.unwrap().status == 400,
            "{name}: {value}"
        );
    }
    let large = Request::get(record::PATH).header("X", &"x".repeat(2 << 20));
    let answer = target.alice.send(&large);
    assert!(answer.is_err() || answer.unwrap().status == 431);
    target.assert_untouched();
}

#[test]
fn methods_that_a_path_does_not_have() {
    let target = Target::new();
    let one = record::at(&record::name(&target.record));
    for (method, path, expected) in [
        (
            "PUT",
            record::PATH,
            "405 MethodNotAllowed: update is not supported on resources of kind \"kubeconfigs.ext.cattle.io\"",
        ),
        (
            "PATCH",
            record::PATH,
            "405 MethodNotAllowed: patch is not supported on resources of kind \"kubeconfigs.ext.cattle.io\"",
        ),
        (
            "POST",
            &one,
            "405 MethodNotAllowed: create is not supported on resources of kind \"kubeconfigs.ext.cattle.io\"",
        ),
        ("TRACE", record::PATH, "403 Forbidden: .."),
        ("OPTIONS", record::PATH, "403 Forbidden: .."),
        ("FOO", record::PATH, "403 Forbidden: .."),
        (
            "POST",
            "/version",
            "403 Forbidden: forbidden: User \"alice\" cannot post path \"/version\"",
        ),
        ("DELETE", "/metrics", "403 Forbidden: .."),
    ] {
        target.check(&Request::new(method, path), expected);
    }
    target.assert_untouched();
}

#[test]
fn changes_that_cannot_be_made() {
    let target = Target::new();
    let one = record::at(&record::name(&target.record));
    let patch = |media_type: &str, body: &str| {
        Request::new("PATCH", &one).body(&format!("application/{media_type}"), body)
    };
    for (request, expected) in [
        (patch("merge-patch+json", "{"), "400 BadRequest: .."),
        (patch("merge-patch+json", "[]"), "422 Invalid: .."),
        (patch("json-patch+json", "{}"), "400 BadRequest: .."),
        (
            patch("json-patch+json", r#"[{"op":"fly","path":"/spec"}]"#),
            "422 Invalid: ..",
        ),
        (
            patch(
                "json-patch+json",
                r#"[{"op":"remove","path":"/spec/nothing"}]"#,
            ),
            "422 Invalid: ..",
        ),
        (
            patch("merge-patch+json", r#"{"spec":{"ttl":1}}"#),
            "400 BadRequest: spec.ttl is immutable",
        ),
        (
            patch("merge-patch+json", r#"{"spec":{"endpoint":"managed"}}"#),
            "400 BadRequest: spec.endpoint is immutable",
        ),
        (
            patch("merge-patch+json", r#"{"spec":{"namespace":"a"}}"#),
            "400 BadRequest: spec.namespace is immutable",
        ),
        (
            patch("merge-patch+json", r#"{"spec":{"ttl":"x"}}"#),
            "422 Invalid: ..",
        ),
        (
            patch("merge-patch+json", r#"{"metadata":{"uid":"x"}}"#),
            "409 Conflict: ..",
        ),
        (
            patch(
                "merge-patch+json",
                r#"{"metadata":{"resourceVersion":"1"}}"#,
            ),
            "409 Conflict: ..",
        ),
        (
            patch("merge-patch+json", r#"{"metadata":{"labels":{"a":"b\n"}}}"#),
            "422 Invalid: ..",
        ),
        (patch("json", "{}"), "415 UnsupportedMediaType: .."),
        (patch("apply-patch+yaml", "a: ["), ".."),
        (
            Request::new("PUT", &one).body("application/json", "{}"),
            "..",
        ),
        (
            Request::new("DELETE", &one).body("application/json", "{"),
            "400 BadRequest: ..",
        ),
        (
            Request::new("DELETE", &one).body("application/json", r#"{"kind":"No"}"#),
            "400 BadRequest: ..",
        ),
        (
            Request::new("DELETE", &one).query("propagationPolicy=Never"),
            "422 Invalid: ..",
        ),
        (
            Request::new("DELETE", &one).query("dryRun=Some"),
            "422 Invalid: ..",
        ),
    ] {
        target.check(&request, expected);
    }
    target.assert_untouched();
}

#[test]
fn representations_that_are_not_offered() {
    let target = Target::new();
    for media_type in [
        "application/xml",
        "application/vnd.kubernetes.protobuf",
        "nonsense",
    ] {
        target.check(
            &Request::get(record::PATH).accept(media_type),
            "406 NotAcceptable: only the following media types are accepted: application/json, \
             application/yaml",
        );
    }
    target.assert_untouched();
}

/// Rejected requests must not fill the log.
#[test]
fn long_requests_without_a_credential_leave_short_lines() {
    for format in ["text", "json"] {
        let server = Server::start_with(Options {
            arguments: vec![format!("--log-format={format}")],
            ..Options::default()
        })
        .unwrap();
        let anonymous = server.anonymous().unwrap();
        let path = format!("/apis/{}", "a%22".repeat(15_000));
        for path in [path.clone(), format!("/k8s/clusters/c-1{path}")] {
            assert_eq!(anonymous.get(&path).unwrap().status, 401);
            let bearer = anonymous.with_token("x.y.z");
            assert_eq!(bearer.get(&path).unwrap().status, 401);
        }
        let log = server.log().unwrap();
        let longest = log.lines().map(str::len).max();
        assert!(longest.unwrap() <= 4096, "{longest:?}");
        assert!(log.contains("bytes left out"), "{log}");
    }
}
