//! ServiceAccounts of the host without the setting that permits them kubeconfigs. They are not users,
//! regardless of user objects that claim their names. The rights that the host's roles grant them are
//! effective as for any other user.

use std::time::Duration;

use e2e::http::{Answer, Client, Request, expect};
use e2e::{Host, poll};
use serde_json::json;

use crate::record;

/// Time limit for changes of the host's RBAC to take effect, including our cache of its answers.
const LIMIT: Duration = Duration::from_secs(120);

/// Checks that an account without rights sees no records of other users, and that one that
/// administers the host can manage the kubeconfigs of all. The host must have no records.
#[track_caller]
pub(super) fn look_after_kubeconfigs(host: &Host) {
    let [ci, other] = ["ci", "other"].map(|name| account(host, name));
    let alice = host.client("alice").unwrap();
    let of_alice = json!({"description": "of alice", "generateToken": true});
    let created = record::create(&alice, of_alice);
    let (name, path) = (record::name(&created), record::at(&record::name(&created)));
    strange(&other, &path);
    no_user(&ci);

    let admin = host.admin().unwrap().0;
    let account = "--serviceaccount=default:ci";
    let bind = [
        "create",
        "clusterrolebinding",
        "ci",
        "--clusterrole=cluster-admin",
        account,
    ];
    admin.output(&bind).unwrap();
    let edited = once_allowed(&ci, &edit(&path)).json().unwrap();
    assert_eq!(edited["spec"]["description"], "edited");
    let seen = once_allowed(&ci, &Request::get(&path)).json().unwrap();
    assert_eq!(record::name(&seen), name);
    no_user(&ci);
    strange(&other, &path);

    let gateway = host.client_at(host.replicas[0].gateway_port(), "alice");
    let file = gateway.unwrap().without_credential();
    let file = file.with_token(&record::tokens(&created)[0]);
    assert_eq!(record::names(&file), [name]);
    once_allowed(&ci, &Request::new("DELETE", &path));
    assert_eq!(file.get(record::PATH).unwrap().status, 401);
    assert_eq!(alice.get(&path).unwrap().status, 404);
}

/// Checks that the account gets no kubeconfig, not even with a user object that claims its name.
#[track_caller]
fn no_user(ci: &Client) {
    let refused = ci.post(record::PATH, &record::wanted(json!({}))).unwrap();
    let refused = expect(refused, 403).unwrap().json().unwrap();
    let expect = "kubeconfigs.ext.cattle.io is forbidden: \
        user system:serviceaccount:default:ci is not a Rancher user. \
        An administrator can set the setting kubeconfig-service-accounts to host";
    assert_eq!(refused["message"], expect);
}

/// Checks that the record does not exist for a client without rights, in all requests.
#[track_caller]
fn strange(stranger: &Client, path: &str) {
    assert_eq!(record::names(stranger), [""; 0]);
    for request in [Request::get(path), edit(path), Request::new("DELETE", path)] {
        assert_eq!(stranger.send(&request).unwrap().status, 404, "{request}");
    }
}

/// Returns the answer once the host knows the binding.
#[track_caller]
fn once_allowed(client: &Client, request: &Request) -> Answer {
    poll::until("the account administers", LIMIT, || {
        let answer = client.send(request)?;
        Ok((answer.status == 200).then_some(answer))
    })
    .unwrap()
}

fn edit(path: &str) -> Request {
    let patch = json!({"spec": {"description": "edited"}}).to_string();
    Request::new("PATCH", path).body("application/merge-patch+json", patch)
}

/// Returns a client with a token of a new account, and creates a user object that claims its name.
#[track_caller]
fn account(host: &Host, name: &str) -> Client {
    let admin = host.admin().unwrap();
    let user = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": {"name": name},
        "enabled": true, "principalIds": [format!("system:serviceaccount:default:{name}")],
    });
    admin.apply(&user).unwrap();
    admin.0.output(&["create", "serviceaccount", name]).unwrap();
    let token = admin.0.output(&["create", "token", name]).unwrap();
    let token = json!({"token": token.trim_end()});
    host.add_user(name, &token).unwrap();
    host.client(name).unwrap()
}
