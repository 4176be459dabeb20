//! The findings about the serving certificate, its authorities, and the front proxy.

use serde_json::{Value, json};

use super::host::{API_SERVICE, DEPLOYMENT, Host, SERVING, authority};

const NAME: &str = "kubeconfig-apiserver.kubeconfig-apiserver.svc";

#[tokio::test]
async fn the_serving_certificate_is_valid_for_the_service_and_some_time() {
    let host = Host::start().await;
    let renewal = "  → check the log of the server, or of the issuer of the certificate, for ";
    for (name, from, until, expected) in [
        (NAME, -20, 9, "ok       the serving certificate is valid until 2026-01-11T03:04:05Z".to_owned()),
        (NAME, -20, 8, format!("warning  the serving certificate expires soon, at 2026-01-10T03:04:05Z, and has not been renewed{renewal}why not")),
        (NAME, -40, 0, format!("problem  the serving certificate expired at 2026-01-02T03:04:05Z{renewal}why it was not renewed")),
        (NAME, 1, 29, "problem  the serving certificate is not valid until 2026-01-03T03:04:05Z, which is in the future for the host  → synchronize the clocks of all nodes with NTP".to_owned()),
        ("elsewhere.svc", -1, 29, "problem  the serving certificate is not valid for kubeconfig-apiserver.kubeconfig-apiserver.svc, the name by which the host calls the server  → add this DNS name to it".to_owned()),
    ] {
        host.serve(name, from, until);
        host.says(&[&expected]).await;
    }
}

#[tokio::test]
async fn the_secret_has_the_serving_certificate() {
    let host = Host::start().await;
    let unreadable = "problem  Secret kubeconfig-apiserver/kubeconfig-apiserver-serving has no certificate in tls.crt  → delete it, so that its owner creates a new one";
    for data in [json!({}), json!({ "tls.crt": "cnViYmlzaA==" })] {
        host.api.change(SERVING, |it| it["data"] = data);
        host.says(&[unreadable]).await;
    }
    host.api.remove(SERVING);
    host.says(&["problem  Secret kubeconfig-apiserver/kubeconfig-apiserver-serving with the serving certificate does not exist  → the server creates it at startup unless it uses certificate files: check its pods and its log"]).await;
}

#[tokio::test]
async fn an_authority_in_the_bundle_issued_the_serving_certificate() {
    let host = Host::start().await;
    let (own, other) = (
        host.authority.certificate_pem(),
        authority("other", -1, 100),
    );
    let other = other.certificate_pem();
    let trusts = "ok       the host trusts CN=other until 2026-04-12T03:04:05Z";
    host.trust(other);
    host.says(&[
        trusts,
        "problem  no CA in the caBundle issued the serving certificate, whose issuer is CN=serving-ca  → add its CA to the caBundle; a server that creates its own certificate does so if it may patch the APIService",
    ])
    .await;
    host.trust(&format!("{other}{own}"));
    host.says(&[trusts]).await;
}

#[tokio::test]
async fn authorities_that_expire_are_reported() {
    let host = Host::start().await;
    let own = host.authority.certificate_pem();
    for (until, expected) in [
        (
            0,
            "warning  CN=other in the caBundle expired at 2026-01-02T03:04:05Z  → no action if another CA in it issued the certificate; the server removes expired CAs that it added, remove others yourself",
        ),
        (
            8,
            "warning  CN=other in the caBundle expires soon, at 2026-01-10T03:04:05Z  → check that the next CA is in the caBundle as well",
        ),
        (
            9,
            "ok       the host trusts CN=other until 2026-01-11T03:04:05Z",
        ),
    ] {
        let other = authority("other", -40, until);
        host.trust(&format!("{own}{}", other.certificate_pem()));
        host.says(&[expected]).await;
    }
}

#[tokio::test]
async fn the_host_verifies_the_server() {
    let host = Host::start().await;
    let set = |bundle: Value, insecure: bool| {
        host.api.change(API_SERVICE, |it| {
            it["spec"]["caBundle"] = bundle;
            it["spec"]["insecureSkipTLSVerify"] = insecure.into();
        });
    };
    set(Value::Null, true);
    host.says(&["warning  APIService v1.ext.cattle.io has insecureSkipTLSVerify: the host does not verify the identity of the server  → remove insecureSkipTLSVerify and set caBundle; a server that creates its own certificate does both"]).await;
    for bundle in [Value::Null, "".into()] {
        set(bundle, false);
        host.says(&["problem  APIService v1.ext.cattle.io has no caBundle: the host trusts only the CAs of its own machines  → run the server with permission to patch it, or set it yourself if the certificate comes from files"]).await;
    }
    set("cnViYmlzaA==".into(), false);
    host.says(&["problem  the caBundle of APIService v1.ext.cattle.io is not a list of certificates  → remove it: a server that creates its own certificate sets the correct caBundle"]).await;
}

#[tokio::test]
async fn a_certificate_from_a_file_is_in_the_mounted_secret() {
    let host = Host::start().await;
    host.set_flag("--tls-cert-file=/tls/tls.crt");
    let outside = "warning  the serving certificate comes from files outside a Secret: not checked  → check that they are valid for the Service and issued by a CA in caBundle";
    host.says(&[outside]).await;

    let mount = |name: &str, path: &str| {
        let mount = json!({ "name": name, "mountPath": path });
        host.api.change(DEPLOYMENT, |it| {
            let pod = &mut it["spec"]["template"]["spec"];
            pod["containers"][0]["volumeMounts"] = json!([mount]);
            pod["volumes"] = json!([
                { "name": "folder", "emptyDir": {} },
                { "name": "tls", "secret": { "secretName": "mine" } },
            ]);
        });
    };
    mount("tls", "/other");
    host.says(&[outside]).await;
    mount("folder", "/tls");
    host.says(&[outside]).await;
    mount("tls", "/tls");
    host.says(&["problem  Secret kubeconfig-apiserver/mine with the serving certificate does not exist  → the server creates it at startup unless it uses certificate files: check its pods and its log"]).await;
    let secret = host.api.object(SERVING);
    host.api.put(
        &SERVING.replace("kubeconfig-apiserver-serving", "mine"),
        secret,
    );
    host.says(&[]).await;
}

#[tokio::test]
async fn the_front_proxy_has_an_authority_and_a_name() {
    let host = Host::start().await;
    let ca = authority("front-proxy-ca", -1, 100);
    let ca = ("requestheader-client-ca-file", ca.certificate_pem());
    host.front_proxy(&[ca, ("requestheader-allowed-names", r#"["a","b"]"#)]);
    host.says(&["ok       the name of the front proxy is a or b"])
        .await;
    host.front_proxy(&[ca, ("requestheader-allowed-names", "a")]);
    host.says(&["problem  the allowed names of the front proxy are not a list  → kube-apiserver writes them: check its log"]).await;
    host.front_proxy(&[]);
    host.says(&["problem  the host has no CA for its front proxy: aggregated servers cannot authenticate callers  → start kube-apiserver with --requestheader-client-ca-file and the other --requestheader flags"]).await;
    host.api.remove(super::host::FRONT_PROXY);
    host.says(&["problem  ConfigMap kube-system/extension-apiserver-authentication does not exist: the server cannot authenticate callers  → kube-apiserver creates it: check its log"]).await;
}

#[tokio::test]
async fn a_flag_of_the_server_accepts_a_front_proxy_without_a_name() {
    let host = Host::start().await;
    let ca = authority("front-proxy-ca", -1, 100);
    let ca = ca.certificate_pem();
    host.front_proxy(&[("requestheader-client-ca-file", ca), ("client-ca-file", ca)]);
    let name = "→ start kube-apiserver with --requestheader-allowed-names=front-proxy-client, or the common name of its certificate";
    host.says(&[&format!("problem  the front proxy may have any name and its CA signs client certificates as well: every client could impersonate all users, so the server rejects all callers  {name}")]).await;
    host.set_flag("--allow-empty-front-proxy-names");
    host.says(&[&format!("warning  the front proxy may have any name and its CA signs client certificates as well: every client can impersonate all users, and the server is configured to accept that  {name}")]).await;
}
