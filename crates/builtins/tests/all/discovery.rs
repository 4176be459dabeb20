//! The kinds in discovery, and the descriptions of their columns.

use serde_json::{Value, json};

use crate::server::{Server, start};

/// Returns one line for each resource of a group version.
async fn resources(server: &Server, path: &str) -> Vec<String> {
    let list = server.done(&format!("GET {path}"), Value::Null).await;
    let line = |resource: &Value| {
        let words = |field: &str| -> String {
            let words = resource[field].as_array().into_iter().flatten();
            let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
            words.join(",")
        };
        let text = |field: &str| resource[field].as_str().unwrap().to_owned();
        let scope = match resource["namespaced"].as_bool().unwrap() {
            true => "namespaced",
            false => "cluster",
        };
        let parts = [
            text("name"),
            text("singularName"),
            text("kind"),
            scope.to_owned(),
            words("verbs"),
            words("shortNames"),
        ];
        parts.join(" ").trim_end().to_owned()
    };
    list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

#[tokio::test]
async fn every_kind_is_discovered_as_in_kubernetes() {
    let server = start().await;
    let all = "create,delete,deletecollection,get,list,patch,update,watch";
    let expected = [
        format!("configmaps configmap ConfigMap namespaced {all} cm"),
        "namespaces namespace Namespace cluster create,delete,get,list,patch,update,watch ns"
            .to_owned(),
        format!("secrets secret Secret namespaced {all}"),
    ];
    assert_eq!(resources(&server, "/api/v1").await, expected);
    let expected = [
        format!("clusterrolebindings clusterrolebinding ClusterRoleBinding cluster {all}"),
        format!("clusterroles clusterrole ClusterRole cluster {all}"),
        format!("rolebindings rolebinding RoleBinding namespaced {all}"),
        format!("roles role Role namespaced {all}"),
    ];
    let path = "/apis/rbac.authorization.k8s.io/v1";
    assert_eq!(resources(&server, path).await, expected);
    let expected = [
        "localsubjectaccessreviews localsubjectaccessreview LocalSubjectAccessReview namespaced create",
        "selfsubjectaccessreviews selfsubjectaccessreview SelfSubjectAccessReview cluster create",
        "selfsubjectrulesreviews selfsubjectrulesreview SelfSubjectRulesReview cluster create",
        "subjectaccessreviews subjectaccessreview SubjectAccessReview cluster create",
    ];
    let path = "/apis/authorization.k8s.io/v1";
    assert_eq!(resources(&server, path).await, expected);
    let expected = ["selfsubjectreviews selfsubjectreview SelfSubjectReview cluster create"];
    let path = "/apis/authentication.k8s.io/v1";
    assert_eq!(resources(&server, path).await, expected);
}

#[tokio::test]
async fn tables_of_bindings_list_subjects_by_kind() {
    let server = start().await;
    let subjects = json!([
        {"kind": "User", "name": "alice"},
        {"kind": "Group", "name": "dev"},
        {"kind": "ServiceAccount", "name": "bot", "namespace": "default"},
        {"kind": "User", "name": "bob"},
    ]);
    let body = json!({
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": subjects,
    });
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    server
        .done(&format!("POST {rbac}/rolebindings"), body)
        .await;
    let (_, rows) = server.table(&format!("{rbac}/rolebindings")).await;
    let row = json!(["b", "Role/r", "0s", "alice, bob", "dev", "default/bot"]);
    assert_eq!(rows, [row]);
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let selected = format!("{path}?fieldSelector=metadata.name%3Dcluster-admin");
    let (columns, rows) = server.table(&selected).await;
    let expected = [
        "Name",
        "Role",
        "Age",
        "+Users",
        "+Groups",
        "+ServiceAccounts",
    ];
    assert_eq!(columns, expected);
    let row = json!([
        "cluster-admin",
        "ClusterRole/cluster-admin",
        "0s",
        "",
        "system:masters",
        ""
    ]);
    assert_eq!(rows, [row]);
}
