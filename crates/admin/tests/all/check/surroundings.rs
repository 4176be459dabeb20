//! The findings about permissions, kinds and the workload.

use serde_json::{Value, json};

use super::host::{CRDS, DEPLOYMENT, HEALTHY, Host, NAMESPACE, REVIEWS, allow};

#[tokio::test]
async fn a_permission_that_is_missing_is_named_with_its_purpose() {
    let host = Host::start().await;
    let remedy =
        "  → bind the roles of the chart to it: rbac.create=true, or deploy/aggregated/rbac.yaml";
    let account = "ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver";
    for (verb, resource, expected) in [
        (
            "patch",
            "secrets",
            vec![format!(
                "problem  {account} may not patch secrets in kubeconfig-apiserver, which is required so that records are stored{remedy}"
            )],
        ),
        (
            "create",
            "secrets",
            vec![
                format!(
                    "problem  {account} may not create secrets in kubeconfig-apiserver, which is required so that records are stored{remedy}"
                ),
                format!(
                    "problem  {account} may not create secrets in kubeconfig-apiserver, which is required so that the serving certificate is stored{remedy}"
                ),
            ],
        ),
        (
            "create",
            "configmaps",
            vec![format!(
                "problem  {account} may not create configmaps in kubeconfig-apiserver, which is required so that the encryption key is registered{remedy}"
            )],
        ),
        (
            "update",
            "configmaps",
            vec![format!(
                "problem  {account} may not update configmaps kubeconfig-apiserver-encryption in kubeconfig-apiserver, which is required so that the encryption key is verified{remedy}"
            )],
        ),
        (
            "list",
            "configmaps",
            vec![format!(
                "problem  {account} may not list configmaps extension-apiserver-authentication in kube-system, which is required so that the front proxy is authenticated{remedy}"
            )],
        ),
        (
            "patch",
            "apiservices",
            vec![format!(
                "problem  {account} may not patch apiservices v1.ext.cattle.io, which is required so that the host trusts the serving certificate{remedy}"
            )],
        ),
        (
            "create",
            "tokenreviews",
            vec![format!(
                "problem  {account} may not create tokenreviews, which is required so that tokens of the host are authenticated{remedy}"
            )],
        ),
        (
            "create",
            "subjectaccessreviews",
            vec![format!(
                "problem  {account} may not create subjectaccessreviews, which is required so that the host authorizes requests{remedy}"
            )],
        ),
        (
            "watch",
            "clusters",
            vec![format!(
                "problem  {account} may not watch clusters, which is required so that clusters are read{remedy}"
            )],
        ),
        (
            "patch",
            "clusters",
            vec![format!(
                "problem  {account} may not patch clusters/status, which is required so that the status of clusters is written{remedy}"
            )],
        ),
        (
            "get",
            "users",
            vec![format!(
                "problem  {account} may not get users, which is required so that they are read{remedy}"
            )],
        ),
    ] {
        host.api.respond(REVIEWS, move |asked| {
            let attributes = &asked.body["spec"]["resourceAttributes"];
            allow(attributes["verb"] != verb || attributes["resource"] != resource)
        });
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        host.says(&expected).await;
    }
}

#[tokio::test]
async fn permissions_are_those_of_the_account_of_the_pods() {
    let host = Host::start().await;
    host.api.change(DEPLOYMENT, |it| {
        it["spec"]["template"]["spec"]["serviceAccountName"] = "mine".into();
    });
    let output = host.check("").await;
    let (theirs, mine) = (
        "ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver",
        "ServiceAccount kubeconfig-apiserver/mine",
    );
    assert_eq!(output.stdout, HEALTHY.replace(theirs, mine));
    let reviews = host
        .api
        .asked()
        .into_iter()
        .filter(|asked| asked.line.starts_with(REVIEWS));
    let mut specs = reviews.map(|asked| asked.body["spec"].clone());
    let status = specs.find(|spec| spec["resourceAttributes"]["subresource"] == "status");
    let expected = json!({
        "user": "system:serviceaccount:kubeconfig-apiserver:mine",
        "groups": [
            "system:serviceaccounts",
            "system:serviceaccounts:kubeconfig-apiserver",
            "system:authenticated",
        ],
        "resourceAttributes": {
            "verb": "patch",
            "group": "management.cattle.io",
            "resource": "clusters",
            "subresource": "status",
        },
    });
    assert_eq!(status, Some(expected));
}

#[tokio::test]
async fn a_server_with_certificate_files_needs_no_permission_for_its_own() {
    let host = Host::start().await;
    host.set_flag("--tls-cert-file=/tls/tls.crt");
    let output = host.check("").await;
    for (permission, expected) in [
        ("may get, list, watch, create, update secrets", false),
        ("apiservices", false),
        ("may get, list, watch secrets", true),
    ] {
        assert_eq!(output.stdout.contains(permission), expected, "{permission}");
    }
}

#[tokio::test]
async fn permissions_that_cannot_be_checked_are_one_warning() {
    let host = Host::start().await;
    let why =
        "permissions of ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver cannot be checked";
    let remedy = "run this command as an administrator of the host";
    host.api.refuse(REVIEWS, 403, "it is forbidden");
    host.says(&[&format!("warning  the {why}: it is forbidden  → {remedy}")])
        .await;
    host.api.answer(REVIEWS, 201, json!({ "spec": {} }));
    host.says(&[&format!(
        "warning  the {why}: the host does not decide  → {remedy}"
    )])
    .await;
}

#[tokio::test]
async fn each_kind_is_served_with_the_fields_that_the_server_uses() {
    let host = Host::start().await;
    let crd = |plural: &str| format!("{CRDS}/{plural}.management.cattle.io");
    let changed = |plural: &str, change: fn(&mut Value)| {
        let path = crd(plural);
        let former = host.api.object(&path);
        host.api.change(&path, change);
        (path, former)
    };
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    assert!(host.api.object(&crd("users")).pointer(schema).is_some());
    for (plural, change, expected) in [
        (
            "users",
            (|it| it["spec"]["versions"][0]["served"] = false.into()) as fn(&mut Value),
            "problem  CustomResourceDefinition users.management.cattle.io does not serve v3  → apply the one from the chart",
        ),
        (
            "users",
            |it| it["spec"]["versions"][0]["name"] = "v4".into(),
            "problem  CustomResourceDefinition users.management.cattle.io does not serve v3  → apply the one from the chart",
        ),
        (
            "nodes",
            |it| it["spec"]["scope"] = "Cluster".into(),
            "problem  CustomResourceDefinition nodes.management.cattle.io has scope Cluster, not Namespaced  → delete it and apply the one from the chart",
        ),
        (
            "settings",
            |it| {
                let schema = &mut it["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
                *schema =
                    json!({ "type": "object", "properties": { "value": { "type": "string" } } });
            },
            "problem  CustomResourceDefinition settings.management.cattle.io drops default  → apply the one from the chart, or preserve unknown fields in it",
        ),
        (
            "clusters",
            |it| {
                let schema = &mut it["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
                *schema = json!({ "type": "object" });
            },
            "problem  CustomResourceDefinition clusters.management.cattle.io drops spec.displayName, spec.connection, status.conditions  → apply the one from the chart, or preserve unknown fields in it",
        ),
    ] {
        let (path, former) = changed(plural, change);
        host.says(&[expected]).await;
        host.api.put(&path, former);
    }
    host.api.remove(&crd("features"));
    host.says(&["problem  CustomResourceDefinition features.management.cattle.io does not exist  → apply those in the folder crds/ of the chart: helm upgrade does not apply them"]).await;
}

#[tokio::test]
async fn the_replicas_are_ready() {
    let host = Host::start().await;
    let remedy = "  → run kubectl -n kubeconfig-apiserver describe pods, and check their logs";
    for (ready, expected) in [
        (0, format!("problem  0 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready{remedy}")),
        (1, format!("warning  1 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready{remedy}")),
        (3, "ok       3 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready".to_owned()),
    ] {
        host.api.change(DEPLOYMENT, |it| it["status"]["readyReplicas"] = ready.into());
        host.says(&[&expected]).await;
    }
    host.api.change(DEPLOYMENT, |it| {
        it["spec"]["replicas"] = Value::Null;
        it["status"] = Value::Null;
    });
    host.says(&[&format!("problem  0 of 1 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready{remedy}")]).await;
}

#[tokio::test]
async fn a_server_outside_a_deployment_has_the_default_flags() {
    let host = Host::start().await;
    let expected = "warning  no Deployment is found for the Service: the default flags are assumed  → no action if the server does not run in a Deployment";
    let service = format!("{NAMESPACE}/services/kubeconfig-apiserver");
    let healthy = host.api.object(&service);
    for selector in [json!({ "app": "other" }), json!({}), Value::Null] {
        host.api
            .change(&service, |it| it["spec"]["selector"] = selector);
        host.says(&[expected]).await;
    }
    host.api.put(&service, healthy);
    host.api.remove(DEPLOYMENT);
    host.says(&[expected]).await;
}

#[tokio::test]
async fn both_services_have_ready_endpoints() {
    let host = Host::start().await;
    let remedy = "  → check whether there are pods, why they are not ready, and whether their labels match the selector of the Service";
    for name in ["kubeconfig-apiserver", "kubeconfig-apiserver-gateway"] {
        let ready = json!([{ "addresses": ["10.1.2.3"], "conditions": { "ready": true } }]);
        let unready = json!([{ "addresses": ["10.1.2.3"], "conditions": { "ready": false } }]);
        let none =
            format!("problem  Service kubeconfig-apiserver/{name} has no ready endpoints{remedy}");
        host.endpoints(name, unready);
        host.says(&[&none]).await;
        host.endpoints(name, Value::Null);
        host.says(&[&none]).await;
        host.endpoints(name, json!([ready[0], ready[0]]));
        host.says(&[]).await;
    }
}

#[tokio::test]
async fn the_services_exist() {
    let host = Host::start().await;
    let remedy = "install the chart, or set the correct --namespace and --service";
    let gateway = format!("{NAMESPACE}/services/kubeconfig-apiserver-gateway");
    host.api.change(&gateway, |it| {
        it["spec"]["externalName"] = "gateway.example".into()
    });
    host.says(&["ok       Service kubeconfig-apiserver/kubeconfig-apiserver-gateway refers to gateway.example, which is not checked"]).await;
    host.api.remove(&gateway);
    host.says(&[&format!("problem  Service kubeconfig-apiserver/kubeconfig-apiserver-gateway does not exist  → {remedy}")]).await;
    let output = host.check(" --service other").await;
    let line = format!("problem  Service kubeconfig-apiserver/other does not exist  → {remedy}\n");
    assert!(output.stdout.contains(&line), "{}", output.stdout);
}

#[tokio::test]
async fn the_service_of_the_gateway_is_that_of_the_flag() {
    let host = Host::start().await;
    host.set_flag("--gateway-service=mine");
    host.says(&["problem  Service kubeconfig-apiserver/mine does not exist  → install the chart, or set the correct --namespace and --service"]).await;
}
