use super::*;
use crate::description::samples::{fischers, flunders, namespaces, reviews};

fn build(descriptions: &[&Description]) -> Discovery {
    Discovery::build(descriptions, &GroupPriorities::default())
}

#[track_caller]
fn check(document: Option<&Document>, expect: &[&str]) {
    let document = document.expect("the document is served");
    let expect = expect.concat() + "\n";
    assert_eq!(str::from_utf8(&document.bytes), Ok(expect.as_str()));
}

#[test]
fn groups_are_listed_with_their_versions_preferred_first() {
    check(
        build(&[&flunders(), &fischers()]).document("/apis"),
        &[
            r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"wardle.example.com","#,
            r#""versions":[{"groupVersion":"wardle.example.com/v1","version":"v1"},"#,
            r#"{"groupVersion":"wardle.example.com/v1beta1","version":"v1beta1"}],"#,
            r#""preferredVersion":{"groupVersion":"wardle.example.com/v1","version":"v1"}}]}"#,
        ],
    );
}

#[test]
fn a_group_has_a_document_of_its_own() {
    check(
        build(&[&flunders()]).document("/apis/wardle.example.com"),
        &[
            r#"{"kind":"APIGroup","apiVersion":"v1","name":"wardle.example.com","#,
            r#""versions":[{"groupVersion":"wardle.example.com/v1beta1","version":"v1beta1"}],"#,
            r#""preferredVersion":"#,
            r#"{"groupVersion":"wardle.example.com/v1beta1","version":"v1beta1"}}"#,
        ],
    );
}

#[test]
fn a_namespaced_kind_is_listed_with_sorted_verbs() {
    check(
        build(&[&flunders()]).document("/apis/wardle.example.com/v1beta1"),
        &[
            r#"{"kind":"APIResourceList","apiVersion":"v1","#,
            r#""groupVersion":"wardle.example.com/v1beta1","resources":["#,
            r#"{"name":"flunders","singularName":"flunder","namespaced":true,"kind":"Flunder","#,
            r#""verbs":["create","get","list","watch"],"shortNames":["fl"],"categories":["all"],"#,
            r#""storageVersionHash":"q8yDPI7eCYE="}]}"#,
        ],
    );
}

#[test]
fn subresources_are_entries_of_their_own() {
    check(
        build(&[&fischers()]).document("/apis/wardle.example.com/v1"),
        &[
            r#"{"kind":"APIResourceList","apiVersion":"v1","#,
            r#""groupVersion":"wardle.example.com/v1","resources":["#,
            r#"{"name":"fischers","singularName":"fischer","namespaced":false,"kind":"Fischer","#,
            r#""verbs":["create","delete","deletecollection","get","list","patch","update","watch"],"#,
            r#""storageVersionHash":"U2ERQE3JvRA="},"#,
            r#"{"name":"fischers/scale","singularName":"","namespaced":false,"#,
            r#""group":"autoscaling","version":"v1","kind":"Scale","verbs":["get"]},"#,
            r#"{"name":"fischers/status","singularName":"","namespaced":false,"#,
            r#""kind":"Fischer","verbs":["get","patch","update"]}]}"#,
        ],
    );
}

#[test]
fn aggregated_discovery_says_everything_at_once() {
    check(
        build(&[&flunders(), &fischers()]).aggregated(AggregatedVersion::V2, "/apis"),
        &[
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","#,
            r#""metadata":{},"items":[{"metadata":{"name":"wardle.example.com"},"versions":["#,
            r#"{"version":"v1","resources":[{"resource":"fischers","responseKind":"#,
            r#"{"group":"wardle.example.com","version":"v1","kind":"Fischer"},"#,
            r#""scope":"Cluster","singularResource":"fischer","#,
            r#""verbs":["create","delete","deletecollection","get","list","patch","update","watch"],"#,
            r#""subresources":["#,
            r#"{"subresource":"scale","responseKind":"#,
            r#"{"group":"autoscaling","version":"v1","kind":"Scale"},"verbs":["get"]},"#,
            r#"{"subresource":"status","responseKind":"#,
            r#"{"group":"wardle.example.com","version":"v1","kind":"Fischer"},"#,
            r#""verbs":["get","patch","update"]}]}],"freshness":"Current"},"#,
            r#"{"version":"v1beta1","resources":[{"resource":"flunders","responseKind":"#,
            r#"{"group":"wardle.example.com","version":"v1beta1","kind":"Flunder"},"#,
            r#""scope":"Namespaced","singularResource":"flunder","#,
            r#""verbs":["create","get","list","watch"],"shortNames":["fl"],"categories":["all"]}],"#,
            r#""freshness":"Current"}]}]}"#,
        ],
    );
}

#[test]
fn the_older_aggregated_version_differs_in_name_only() {
    let discovery = build(&[&reviews()]);
    let [older, newer] = [AggregatedVersion::V2Beta1, AggregatedVersion::V2].map(|version| {
        discovery
            .aggregated(version, "/apis")
            .expect("both are served")
    });
    let text = |document: &Document| String::from_utf8(document.bytes.to_vec());
    assert_eq!(
        text(older),
        text(newer).map(|newer| newer.replace("io/v2", "io/v2beta1"))
    );
}

#[test]
fn the_core_group_is_served_beside_the_others() {
    let discovery = build(&[&namespaces(), &reviews()]);
    check(
        discovery.document("/api"),
        &[r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#],
    );
    check(
        discovery.document("/api/v1"),
        &[
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":["#,
            r#"{"name":"namespaces","singularName":"namespace","namespaced":false,"#,
            r#""kind":"Namespace","verbs":["get"],"shortNames":["ns"]}]}"#,
        ],
    );
    check(
        discovery.aggregated(AggregatedVersion::V2, "/api"),
        &[
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","#,
            r#""metadata":{},"items":[{"metadata":{},"versions":[{"version":"v1","resources":["#,
            r#"{"resource":"namespaces","responseKind":"#,
            r#"{"group":"","version":"v1","kind":"Namespace"},"scope":"Cluster","#,
            r#""singularResource":"namespace","verbs":["get"],"shortNames":["ns"]}],"#,
            r#""freshness":"Current"}]}]}"#,
        ],
    );
}

#[test]
fn every_document_has_its_path() {
    let paths: Vec<_> = build(&[&namespaces(), &reviews()])
        .paths()
        .map(str::to_owned)
        .collect();
    let expect = [
        "/api",
        "/api/v1",
        "/apis",
        "/apis/authentication.k8s.io",
        "/apis/authentication.k8s.io/v1",
    ];
    assert_eq!(paths, expect);
}

#[test]
fn the_core_group_is_absent_unless_served() {
    let discovery = build(&[&reviews()]);
    assert_eq!(discovery.document("/api"), None);
    assert_eq!(discovery.aggregated(AggregatedVersion::V2, "/api"), None);
}

#[test]
fn a_server_without_kinds_still_answers() {
    check(
        build(&[]).document("/apis"),
        &[r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#],
    );
    check(
        build(&[]).aggregated(AggregatedVersion::V2, "/apis"),
        &[
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","#,
            r#""metadata":{},"items":[]}"#,
        ],
    );
}

#[track_caller]
fn check_order(priorities: GroupPriorities, expect: [&str; 2]) {
    let (flunders, reviews) = (flunders(), reviews());
    let groups = order(&[&flunders, &reviews], &priorities);
    let names: Vec<_> = groups.iter().map(|group| group.name).collect();
    assert_eq!(names, expect);
}

#[test]
fn groups_are_ordered_by_priority_then_name() {
    let (reviews, wardle) = ("authentication.k8s.io", "wardle.example.com");
    check_order(GroupPriorities::default(), [reviews, wardle]);
    check_order(
        GroupPriorities::default().with(wardle, 1001),
        [wardle, reviews],
    );
    check_order(
        GroupPriorities::default().with(reviews, 999),
        [wardle, reviews],
    );
}

#[test]
fn documents_do_not_depend_on_the_order_of_descriptions() {
    let one = build(&[&flunders(), &fischers(), &reviews(), &namespaces()]);
    let other = build(&[&namespaces(), &reviews(), &fischers(), &flunders()]);
    assert_eq!(one.plain, other.plain);
    assert_eq!(one.aggregated, other.aggregated);
}
