//! The interaction of the host's own controllers with our server: their work on our kinds, and
//! their work on everything else while our server is down.
//!
//! One host runs the whole story: both servers up, the sample server down, our server down, our
//! server restarting repeatedly.

mod flunders;
mod informers;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use e2e::host::Admin;
use e2e::http::Request;
use e2e::{Flunders, Host, Kubectl, poll};
use serde_json::{Value, json};

/// Time limit for controllers and the aggregator. Controllers discover new kinds every half minute,
/// the aggregator polls every minute, and the namespace controller waits for up to a minute after a
/// failure.
const LIMIT: Duration = Duration::from_secs(120);

/// Lifetime of a server that restarts repeatedly.
const LIFE: Duration = Duration::from_secs(1);

const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[test]
fn controllers_of_the_host_and_servers_behind_it() {
    let mut host = Host::start().unwrap();
    let mut flunders = Flunders::start(&host).unwrap();
    let admin = host.admin().unwrap();

    flunders::conformance(&host);
    informers::streaming_list_of_metadata(&host);
    dependents_go_with_their_record(&host);
    a_record_goes_with_the_last_of_its_tokens(&host);
    quota_is_counted(&admin);
    let log = ControllerLog::of(&host);
    a_namespace_goes_with_its_flunders(&admin);
    garbage_of_others_is_collected(&admin, "beside-servers-that-are-up");
    assert_eq!(log.complaints(), Vec::<String>::new());

    flunders.kill().unwrap();
    a_namespace_goes_when_the_api_service_is_gone(&host);

    host.replicas[0].kill().unwrap();
    while_it_is_down(&host);
    host.replicas[0].restart().unwrap();
    until_absent(&admin.0, &["namespace", "left"]);
    until_absent(&admin.0, &["configmap", "of-an-unknown-record"]);

    while_it_comes_and_goes(&mut host);
    dependents_go_with_their_record(&host);
}

/// Checks that a ConfigMap that is owned by a record is deleted with it by the host's garbage
/// collector.
fn dependents_go_with_their_record(host: &Host) {
    let (alice, admin) = (host.kubectl("alice").unwrap(), host.admin().unwrap());
    let record = create_kubeconfig(&alice, &json!({}));
    let owned = config_map("default", "of-a-record", Some(&record));
    admin.apply(&owned).unwrap();
    let name = record["metadata"]["name"].as_str().unwrap();
    alice.output(&["delete", "kubeconfig", name]).unwrap();
    until_absent(&admin.0, &["configmap", "of-a-record"]);
}

fn a_record_goes_with_the_last_of_its_tokens(host: &Host) {
    let (alice, admin) = (host.kubectl("alice").unwrap(), host.admin().unwrap());
    let clusters = json!({"clusters": ["c-m-p66cdvlj", "c-m-fcd3g5h"]});
    let record = create_kubeconfig(&alice, &clusters);
    let name = record["metadata"]["name"].as_str().unwrap();
    let tokens = record["status"]["tokens"].as_array().unwrap();
    let tokens: Vec<&str> = tokens.iter().filter_map(Value::as_str).collect();
    let (first, others) = tokens.split_first().unwrap();
    assert_eq!(others.len(), 1, "{record}");
    let detach = [
        "patch",
        "kubeconfig",
        name,
        "--type=merge",
        "-p",
        r#"{"metadata":{"ownerReferences":null}}"#,
    ];
    alice.output(&detach).unwrap();

    let owners = [
        "get",
        "kubeconfig",
        name,
        "-o=jsonpath={.metadata.ownerReferences[*].name} {.status.tokens[*]}",
    ];
    let all = format!("{0} {0}", tokens.join(" "));
    assert_eq!(alice.output(&owners).unwrap(), all);
    let left = format!("{} {}", others.join(" "), tokens.join(" "));
    admin
        .0
        .output(&["delete", "tokens.ext.cattle.io", first])
        .unwrap();
    until(&alice, &owners, |found| found == left);
    admin
        .0
        .output(&["delete", "tokens.ext.cattle.io", others[0]])
        .unwrap();
    until_absent(&alice, &["kubeconfig", name]);
}

/// Checks the controller's count. Only admission counts objects when they are created, and behind
/// the host there is no admission. The controller recounts when an object was deleted.
fn quota_is_counted(admin: &Admin) {
    admin.apply(&namespace("team")).unwrap();
    admin.apply(&config_map("team", "one", None)).unwrap();
    for name in ["one", "two"] {
        admin.apply(&flunders::object("team", name)).unwrap();
    }
    let hard = json!({"count/configmaps": "5", "count/flunders.wardle.example.com": "5"});
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "objects", "namespace": "team"}, "spec": {"hard": hard},
    });
    admin.apply(&quota).unwrap();
    let used = json!({"count/configmaps": "1", "count/flunders.wardle.example.com": "2"});
    let status = [
        "get",
        "quota",
        "objects",
        "-n=team",
        "-o=jsonpath={.status.used}",
    ];
    until(&admin.0, &status, |found| {
        admin.apply(&flunders::object("team", "passing")).unwrap();
        let passing = ["delete", "flunder", "passing", "-n=team"];
        admin.0.output(&passing).unwrap();
        serde_json::from_str::<Value>(found).is_ok_and(|found| found == used)
    });
}

fn quota_of_others_is_counted(admin: &Admin) {
    admin.apply(&namespace("counted")).unwrap();
    admin.apply(&config_map("counted", "one", None)).unwrap();
    admin
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "objects", "namespace": "counted"},
            "spec": {"hard": {"count/configmaps": "5"}},
        }))
        .unwrap();
    let status = [
        "get",
        "quota",
        "objects",
        "-n=counted",
        "-o=jsonpath={.status.used}",
    ];
    until(&admin.0, &status, |found| {
        found == r#"{"count/configmaps":"1"}"#
    });
}

fn a_namespace_goes_with_its_flunders(admin: &Admin) {
    delete_namespace(admin, "team");
    until_absent(&admin.0, &["namespace", "team"]);
    let all = ["get", "flunders", "-A", "-o=name"];
    assert_eq!(admin.0.output(&all).unwrap(), "");
}

fn garbage_of_others_is_collected(admin: &Admin, name: &str) {
    let owner = config_map("default", name, None);
    admin.apply(&owner).unwrap();
    let owner = admin
        .0
        .output(&["get", "configmap", name, "-o=json"])
        .unwrap();
    let owner: Value = serde_json::from_str(&owner).unwrap();
    let owned = format!("owned-{name}");
    admin
        .apply(&config_map("default", &owned, Some(&owner)))
        .unwrap();
    admin.0.output(&["delete", "configmap", name]).unwrap();
    until_absent(&admin.0, &["configmap", &owned]);
}

/// Checks that a namespace is deleted once the APIService is deleted, which is what an
/// administrator does who cannot restore the server.
fn a_namespace_goes_when_the_api_service_is_gone(host: &Host) {
    let admin = host.admin().unwrap();
    until_stale(host, "wardle.example.com");
    admin.apply(&namespace("without-flunders")).unwrap();
    delete_namespace(&admin, "without-flunders");
    let refused = until_refused(&admin, "without-flunders");
    assert!(refused.contains("wardle.example.com/v1alpha1"), "{refused}");
    admin
        .0
        .output(&["delete", "apiservice", "v1alpha1.wardle.example.com"])
        .unwrap();
    until_absent(&admin.0, &["namespace", "without-flunders"]);
}

/// Checks that the content of a namespace is deleted and the namespace remains; garbage of other
/// groups is collected and their quota counted.
fn while_it_is_down(host: &Host) {
    let admin = host.admin().unwrap();
    until_stale(host, "ext.cattle.io");
    admin.apply(&namespace("left")).unwrap();
    admin.apply(&config_map("left", "content", None)).unwrap();
    delete_namespace(&admin, "left");
    let refused = until_refused(&admin, "left");
    assert_eq!(
        refused,
        "True DiscoveryFailed Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server \
         APIs: ext.cattle.io/v1: stale GroupVersion discovery: ext.cattle.io/v1"
    );
    until_absent(&admin.0, &["configmap", "content", "-n=left"]);
    garbage_of_others_is_collected(&admin, "beside-a-server-that-is-down");
    quota_of_others_is_counted(&admin);
    // The existence of its owner cannot be determined now, so it is kept.
    let unknown = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig",
        "metadata": {"name": "kubeconfig-unknown", "uid": "8e6f2f4c-7d1c-4f0e-9d55-3c0f2ac1b7aa"},
    });
    let owned = config_map("default", "of-an-unknown-record", Some(&unknown));
    admin.apply(&owned).unwrap();
    let phase = ["get", "namespace", "left", "-o=jsonpath={.status.phase}"];
    assert_eq!(admin.0.output(&phase).unwrap(), "Terminating");
    assert!(!is_absent(&admin.0, &["configmap", "of-an-unknown-record"]).unwrap());
}

/// Kills the server after a second, repeatedly: it is up often enough for all the work to be done.
fn while_it_comes_and_goes(host: &mut Host) {
    let admin = host.admin().unwrap();
    admin.apply(&namespace("meanwhile")).unwrap();
    admin
        .apply(&config_map("meanwhile", "content", None))
        .unwrap();
    delete_namespace(&admin, "meanwhile");
    let gone_once = (0..LIMIT.as_secs()).any(|_| {
        host.replicas[0].kill().unwrap();
        host.replicas[0].restart().unwrap();
        let gone = || is_absent(&admin.0, &["namespace", "meanwhile"]);
        poll::until("", LIFE, || Ok(gone()?.then_some(()))).is_ok()
    });
    assert!(gone_once, "{}", namespaces(&admin));
    garbage_of_others_is_collected(&admin, "beside-a-server-that-comes-and-goes");
}

fn namespaces(admin: &Admin) -> String {
    admin.0.output(&["get", "namespaces", "-o=yaml"]).unwrap()
}

fn delete_namespace(admin: &Admin, name: &str) {
    let delete = ["delete", "namespace", name, "--wait=false"];
    admin.0.output(&delete).unwrap();
}

fn create_kubeconfig(kubectl: &Kubectl, spec: &Value) -> Value {
    let kubeconfig = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": spec});
    let create = ["create", "-f=-", "-o=json"];
    let created = kubectl
        .run_with_input(&create, &kubeconfig.to_string())
        .unwrap();
    assert_eq!(created.code, 0, "{}", created.stderr);
    serde_json::from_str(&created.stdout).unwrap()
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn config_map(namespace: &str, name: &str, owner: Option<&Value>) -> Value {
    let reference = |owner: &Value| {
        json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        })
    };
    let owners: Vec<Value> = owner.map(reference).into_iter().collect();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": owners},
    })
}

/// Waits until the host reports that its discovery of a group is stale.
#[track_caller]
fn until_stale(host: &Host, group: &str) {
    let discovery = Request::get("/apis").accept(DISCOVERY);
    poll::until("discovery is stale", LIMIT, || {
        let found = host.client("admin")?.send(&discovery)?.json()?;
        let groups = found["items"].as_array().cloned().unwrap_or_default();
        let mut groups = groups.iter();
        let group = groups.find(|known| known["metadata"]["name"] == group);
        let freshness = group.map(|group| &group["versions"][0]["freshness"]);
        Ok(freshness.is_some_and(|is| is == "Stale").then_some(()))
    })
    .unwrap();
}

/// Waits until the deletion of a namespace reports the reason that it cannot continue, and returns
/// the reason.
#[track_caller]
fn until_refused(admin: &Admin, name: &str) -> String {
    let failure = "NamespaceDeletionDiscoveryFailure";
    let message = format!(
        "-o=jsonpath={{.status.conditions[?(@.type=='{failure}')]['status','reason','message']}}"
    );
    let command = ["get", "namespace", name, &message];
    until(&admin.0, &command, |found| found.starts_with("True "))
}

#[track_caller]
fn until(kubectl: &Kubectl, command: &[&str], mut wanted: impl FnMut(&str) -> bool) -> String {
    let mut last = String::new();
    let waited = poll::until(&format!("{command:?}"), LIMIT, || {
        last = kubectl.output(command)?;
        Ok(wanted(&last).then_some(()))
    });
    assert!(waited.is_ok(), "{waited:?}: the last answer was {last}");
    last
}

#[track_caller]
fn until_absent(kubectl: &Kubectl, what: &[&str]) {
    let absent = || Ok(is_absent(kubectl, what)?.then_some(()));
    let waited = poll::until(&format!("{what:?} is gone"), LIMIT, absent);
    if waited.is_err() {
        let get = [&["get"], what, &["-o=yaml"]].concat();
        panic!("{waited:?}: {:?}", kubectl.run(&get));
    }
}

fn is_absent(kubectl: &Kubectl, what: &[&str]) -> anyhow::Result<bool> {
    let get = [&["get", "-o=name", "--ignore-not-found"], what].concat();
    let answer = kubectl.run(&get)?;
    Ok(answer.code == 0 && answer.stdout.is_empty())
}

/// The warnings and errors in the log of kube-controller-manager from now on.
struct ControllerLog {
    file: PathBuf,
    start: usize,
}

impl ControllerLog {
    fn of(host: &Host) -> Self {
        let file = host.cluster.folder().join("kube-controller-manager.log");
        let start = fs::read_to_string(&file).unwrap().len();
        Self { file, start }
    }

    /// Returns its warnings and errors, except for those of quotas: it counts a quota while that
    /// changes or is deleted with its namespace, and retries.
    fn complaints(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.file).unwrap();
        let lines = log[self.start..].lines();
        let complaints = lines.filter(|line| line.starts_with(['E', 'W', 'F']));
        let complaints = complaints.filter(|line| !line.contains("resource_quota_controller.go"));
        complaints.map(str::to_owned).collect()
    }
}
