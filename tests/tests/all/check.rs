//! `kubeconfig-apiserver check`: a healthy installation, and one fault at a time.

mod installation;
mod server;

use e2e::program::{self, Outcome};
use e2e::{Server, poll};
use serde_json::{Value, json};

use installation::{Installation, LIMIT, NAME};

const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.ext.cattle.io";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The output for a healthy installation, without times and numbers.
const HEALTHY: &str = "\
ok       the clocks of this machine and of the host agree
ok       the clocks of the server and of the host agree
ok       APIService v1.ext.cattle.io refers to Service kubeconfig-apiserver/kubeconfig-apiserver
ok       the host reaches the server and accepts its certificate
ok       the host trusts CN=serving-ca until TIME
ok       the serving certificate is valid until TIME
ok       a CA in the caBundle issued the serving certificate
ok       the CA of the front proxy is valid until TIME
ok       the name of the front proxy is front-proxy-client
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, create, update, patch, delete secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create configmaps in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, update configmaps kubeconfig-apiserver-encryption in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, create, update secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, patch apiservices v1.ext.cattle.io
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch configmaps extension-apiserver-authentication in kube-system
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create tokenreviews
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create subjectaccessreviews
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch clusters
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may patch clusters/status
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch users
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create, patch users
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch serviceaccounts
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch settings
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch features
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch nodes
ok       clusters.management.cattle.io exists
ok       users.management.cattle.io exists
ok       settings.management.cattle.io exists
ok       features.management.cattle.io exists
ok       nodes.management.cattle.io exists
ok       2 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready
ok       Service kubeconfig-apiserver/kubeconfig-apiserver refers to localhost, which is not checked
ok       Service kubeconfig-apiserver/kubeconfig-apiserver-gateway has 1 ready endpoints
ok       the Secrets of clusters are bound to their clusters
ok       namespace kubeconfig-apiserver exists
ok       1 records are stored as Secrets in kubeconfig-apiserver
ok       1 kubeconfigs have 2 tokens, and no token is orphaned
";

#[test]
fn each_thing_that_is_broken_is_told_with_what_to_do() {
    let installation = Installation::start().unwrap();
    installation.check_healthy();
    broken_registration(&installation);
    broken_certificates(&installation);
    broken_records_and_clocks(&installation);
    broken_surroundings(&installation);
    installation.check_healthy();
}

#[test]
fn a_host_that_is_not_reached_is_told_in_a_line() {
    let answer = program::run(&["check", "--host-kubeconfig", "/nowhere"]).unwrap();
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert_eq!(
        answer.stderr,
        "error: no kubeconfig file for the host cluster: set --host-kubeconfig or KUBECONFIG: cannot read /nowhere: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_standalone_server_is_no_host() {
    let server = Server::start().unwrap();
    let file = server.kubeconfig("admin").display().to_string();
    let answer = program::run(&["check", "--host-kubeconfig", &file]).unwrap();
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert_eq!(
        answer.stderr,
        "error: the kubeconfig file is for an API server without an aggregation layer, such as a standalone kubeconfig-apiserver: pass the file of the host cluster with --host-kubeconfig\n"
    );
}

fn broken_registration(on: &Installation) {
    let ours = on.get(API_SERVICE);
    let service = |namespace: &str, name: &str| json!({"spec": {"service": {"namespace": namespace, "name": name}}});
    on.patch(
        API_SERVICE,
        &service("cattle-system", "imperative-api-extension"),
    );
    on.check_says(&[
        "problem  APIService v1.ext.cattle.io refers to Service cattle-system/imperative-api-extension instead of kubeconfig-apiserver/kubeconfig-apiserver: Rancher serves ext.cattle.io itself in this cluster  → use Rancher's own kubeconfigs in this cluster, or install this server in another one",
    ]);
    on.patch(API_SERVICE, &service("other", "other"));
    on.check_says(&[
        "problem  APIService v1.ext.cattle.io refers to Service other/other instead of kubeconfig-apiserver/kubeconfig-apiserver  → set the correct --namespace and --service; otherwise decide which of the two serves the group",
    ]);
    on.delete(API_SERVICE);
    on.check_says(&[
        "problem  APIService v1.ext.cattle.io does not exist: kube-apiserver does not forward requests  → install the chart, or apply deploy/aggregated",
    ]);
    let (collection, _) = API_SERVICE.rsplit_once('/').unwrap();
    on.post(
        collection,
        &json!({"metadata": {"name": "v1.ext.cattle.io"}, "spec": ours["spec"]}),
    );
    on.wait_until_healthy();

    on.patch(
        API_SERVICE,
        &json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": true}}),
    );
    on.check_says(&[
        "warning  APIService v1.ext.cattle.io has insecureSkipTLSVerify: the host does not verify the identity of the server  → remove insecureSkipTLSVerify and set caBundle; a server that creates its own certificate does both",
    ]);
    on.patch(
        API_SERVICE,
        &json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": null}}),
    );
    on.check_says(&[
        "problem  APIService v1.ext.cattle.io has no caBundle: the host trusts only the CAs of its own machines  → run the server with permission to patch it, or set it yourself if the certificate comes from files",
        "problem  the host cannot reach the server: FailedDiscoveryCheck: ",
        "  → the host does not trust the certificate: check the findings on certificates, and the log of the server",
    ]);
    on.patch(
        API_SERVICE,
        &json!({"spec": {"caBundle": on.base64(on.cluster.ca_pem())}}),
    );
    on.check_says(&[
        "problem  no CA in the caBundle issued the serving certificate, whose issuer is CN=serving-ca  → add its CA to the caBundle; a server that creates its own certificate does so if it may patch the APIService",
    ]);
    on.patch(
        API_SERVICE,
        &json!({"spec": {"caBundle": ours["spec"]["caBundle"]}}),
    );
    on.wait_until_healthy();

    on.server.answer_nothing(true);
    on.patch(
        API_SERVICE,
        &json!({"metadata": {"labels": {"look": "again"}}}),
    );
    on.check_says(&["problem  the host cannot reach the server: FailedDiscoveryCheck: "]);
    on.server.answer_nothing(false);
    on.wait_until_healthy();
}

fn broken_certificates(on: &Installation) {
    let secret = format!("/api/v1/namespaces/{NAME}/secrets/{NAME}-serving");
    let healthy = on.get(&secret);
    for (names, from, until, expected) in [
        (
            "kubeconfig-apiserver.kubeconfig-apiserver.svc",
            -40,
            -10,
            "problem  the serving certificate expired at ",
        ),
        (
            "kubeconfig-apiserver.kubeconfig-apiserver.svc",
            -20,
            8,
            "warning  the serving certificate expires soon, at ",
        ),
        (
            "kubeconfig-apiserver.kubeconfig-apiserver.svc",
            1,
            30,
            "problem  the serving certificate is not valid until ",
        ),
        (
            "elsewhere.svc",
            -1,
            29,
            "problem  the serving certificate is not valid for kubeconfig-apiserver.kubeconfig-apiserver.svc, the name by which the host calls the server  → add this DNS name to it",
        ),
    ] {
        let pair = on.server.pair(names, from, until);
        on.patch(
            &secret,
            &json!({"data": {"tls.crt": on.base64(&pair.certificate)}}),
        );
        on.check_says(&[expected]);
    }
    on.patch(&secret, &json!({"data": {"tls.crt": on.base64("rubbish")}}));
    on.check_says(&[
        "problem  Secret kubeconfig-apiserver/kubeconfig-apiserver-serving has no certificate in tls.crt  → delete it, so that its owner creates a new one",
    ]);
    on.delete(&secret);
    on.check_says(&[
        "problem  Secret kubeconfig-apiserver/kubeconfig-apiserver-serving with the serving certificate does not exist  → the server creates it at startup unless it uses certificate files: check its pods and its log",
    ]);
    let (collection, name) = secret.rsplit_once('/').unwrap();
    on.post(
        collection,
        &json!({"metadata": {"name": name}, "data": healthy["data"]}),
    );
    on.wait_until_healthy();
}

fn broken_records_and_clocks(on: &Installation) {
    on.server.ahead(3600);
    on.check_says(&[
        " s ahead of that of the host: new tokens are rejected, or expired tokens accepted  → synchronize the clocks of all nodes with NTP",
    ]);
    on.server.ahead(0);
    let (old, finalizers) = ("2026-01-01T00:00:00Z", ["example.com/hold"]);
    on.server.tokens(json!([
        {"metadata": {"name": "token-a", "creationTimestamp": old}, "spec": {"kubeconfigName": "gone"}},
        {"metadata": {"name": "token-b", "creationTimestamp": old, "deletionTimestamp": old, "finalizers": finalizers}, "spec": {}},
    ]));
    on.check_says(&[
        "warning  tokens of deleted kubeconfigs are not removed: token-a  → they are no longer valid; check the log of the server for why they remain",
        "warning  deleted, but blocked by finalizers: token-b  → check with kubectl get -o yaml which controller owns the finalizers, and run it or remove them",
    ]);
    on.server.tokens(server::tokens());
    on.wait_until_healthy();
}

fn broken_surroundings(on: &Installation) {
    let role = format!("{BINDINGS}/namespaces/{NAME}/rolebindings/{NAME}");
    let binding = on.delete(&role);
    on.check_says(&[
        "problem  ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may not get, list, watch, create, update, patch, delete secrets in kubeconfig-apiserver, which is required so that records are stored  → bind the roles of the chart to it: rbac.create=true, or deploy/aggregated/rbac.yaml",
        "problem  ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may not get, list, watch, create, update secrets in kubeconfig-apiserver, which is required so that the serving certificate is stored  → ",
    ]);
    on.restore(&role, &binding);

    let reader =
        format!("{BINDINGS}/namespaces/kube-system/rolebindings/{NAME}:authentication-reader");
    let binding = on.delete(&reader);
    on.check_says(&[
        "problem  ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may not get, list, watch configmaps extension-apiserver-authentication in kube-system, which is required so that the front proxy is authenticated  → ",
    ]);
    on.restore(&reader, &binding);

    let deployment = format!("/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}/status");
    for (ready, expected) in [
        (
            0,
            "problem  0 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready  → run kubectl -n kubeconfig-apiserver describe pods, and check their logs",
        ),
        (
            1,
            "warning  1 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready  → ",
        ),
    ] {
        on.patch(&deployment, &json!({"status": {"readyReplicas": ready}}));
        on.check_says(&[expected]);
    }
    on.patch(&deployment, &json!({"status": {"readyReplicas": 2}}));

    let gateway = format!("/api/v1/namespaces/{NAME}/services/{NAME}-gateway");
    on.patch(installation::SLICE, &installation::endpoints(false));
    on.check_says(&[
        "problem  Service kubeconfig-apiserver/kubeconfig-apiserver-gateway has no ready endpoints  → check whether there are pods, why they are not ready, and whether their labels match the selector of the Service",
    ]);
    on.patch(installation::SLICE, &installation::endpoints(true));
    let service = on.delete(&gateway);
    on.check_says(&[
        "problem  Service kubeconfig-apiserver/kubeconfig-apiserver-gateway does not exist  → install the chart, or set the correct --namespace and --service",
    ]);
    on.restore(&gateway, &service);

    let settings = format!("{CRDS}/settings.management.cattle.io");
    let definition = on.delete(&settings);
    on.check_says(&[
        "problem  CustomResourceDefinition settings.management.cattle.io does not exist  → apply those in the folder crds/ of the chart: helm upgrade does not apply them",
    ]);
    on.restore(&settings, &definition);

    let clusters = "/apis/management.cattle.io/v3/clusters";
    let credential = json!({"namespace": NAME, "name": "cluster-lost-gateway"});
    let connection = json!({"server": "https://127.0.0.1:1", "credentialSecretRef": credential});
    on.post(
        clusters,
        &json!({
            "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
            "metadata": {"name": "lost"}, "spec": {"connection": connection},
        }),
    );
    on.check_says(&[
        "problem  cluster lost has no Secret cluster-lost-gateway, so the server does not use it  → run kubeconfig-apiserver cluster add, cluster bind or cluster webhook: docs/clusters.md",
    ]);
    on.delete(&format!("{clusters}/lost"));
}

impl Installation {
    fn run(&self, further: &[&str]) -> Outcome {
        let file = self.cluster.admin_kubeconfig().display().to_string();
        let arguments = [&["check", "--host-kubeconfig", &file], further].concat();
        program::run(&arguments).unwrap()
    }

    /// Waits until each of these is in a line, and checks the exit code.
    #[track_caller]
    fn check_says(&self, expected: &[&str]) {
        let mut last = String::new();
        let says = poll::until("it is told", LIMIT, || {
            let answer = self.run(&[]);
            let problems = answer
                .stdout
                .lines()
                .filter(|line| line.starts_with("problem"));
            let problems = problems.count();
            let said = match problems {
                0 => String::new(),
                1 => "error: there is 1 problem\n".to_owned(),
                number => format!("error: there are {number} problems\n"),
            };
            assert_eq!(
                (answer.code, answer.stderr),
                (i32::from(problems > 0), said)
            );
            last = answer.stdout;
            Ok(expected
                .iter()
                .all(|expected| last.contains(expected))
                .then_some(()))
        });
        says.unwrap_or_else(|error| panic!("{error}\nexpected {expected:#?}\n{last}"));
    }

    /// Waits until the host has noticed, too.
    fn wait_until_healthy(&self) {
        let mut last = String::new();
        let healthy = poll::until("all is well", LIMIT, || {
            last = self.run(&[]).stdout;
            Ok(last
                .lines()
                .all(|line| line.starts_with("ok"))
                .then_some(()))
        });
        healthy.unwrap_or_else(|error| panic!("{error}\n{last}"));
    }

    fn check_healthy(&self) {
        self.wait_until_healthy();
        let answer = self.run(&[]);
        let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
        assert_eq!(time.replace_all(&answer.stdout, "TIME"), HEALTHY);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));

        let json: Value = serde_json::from_str(&self.run(&["-o", "json"]).stdout).unwrap();
        let findings = json["findings"].as_array().unwrap();
        assert_eq!(findings.len(), HEALTHY.lines().count());
        let first = json!({
            "level": "ok", "topic": "clocks",
            "what": "the clocks of this machine and of the host agree",
        });
        assert_eq!(findings[0], first);
    }
}
