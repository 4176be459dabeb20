//! The containment of stolen tokens, former users and lost rights, on the running server.

use std::fs;
use std::time::Duration;

use e2e::http::{Answer, Client, Request, expect};
use e2e::{Server, Site, poll};
use serde_json::{Value, json};

use crate::record::{self, FileUser};

/// The resource, in the form in which kubectl names its objects.
const RECORD: &str = "kubeconfig.ext.cattle.io";
const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const USERS: &str = "/apis/management.cattle.io/v3/users";
const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The clusters of the fixture, which alice may get. They have no connection, so a valid token for
/// them gets a 503.
const DEMO: [&str; 2] = ["c-m-fcd3g5h", "c-m-p66cdvlj"];

const SHARED_ABOVE: &str = "/apis/management.cattle.io/v3/settings/kubeconfig-shared-token-above";
const MINT: &str = "/apis/management.cattle.io/v3/settings/kubeconfig-mint-with-token";

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in either mode, with the users and clusters of the fixture.
pub(crate) struct Place {
    admin: Client,
    alice: Client,
    /// A client where tokens are used, without a token.
    gateway: Client,
}

/// The subject of a role binding.
struct Subject<'a> {
    kind: &'static str,
    name: &'a str,
}

impl<'a> Subject<'a> {
    fn user(name: &'a str) -> Self {
        Self { kind: "User", name }
    }

    fn group(name: &'a str) -> Self {
        Self {
            kind: "Group",
            name,
        }
    }
}

impl Place {
    #[track_caller]
    pub(crate) fn of(site: &dyn Site) -> Self {
        Self {
            admin: site.client("admin").unwrap(),
            alice: site.client("alice").unwrap(),
            gateway: site.anonymous().unwrap(),
        }
    }

    /// Returns the code of a cluster for a token: 401 from the gateway for an invalid one, 503 for
    /// a valid one.
    fn code_at(&self, token: &str, cluster: &str) -> u16 {
        let path = format!("/k8s/clusters/{cluster}/version");
        self.gateway.with_token(token).get(&path).unwrap().status
    }

    /// Returns the code of the management API for a token.
    fn code_here(&self, token: &str) -> u16 {
        let client = self.gateway.with_token(token);
        client.get(record::PATH).unwrap().status
    }

    /// Waits until a cluster answers a token with this code: behind a host, changes take a moment.
    #[track_caller]
    fn comes_to(&self, code: u16, token: &str, cluster: &str) {
        let wanted = format!("{cluster} answers {code}");
        poll::until(&wanted, LIMIT, || {
            Ok((self.code_at(token, cluster) == code).then_some(()))
        })
        .unwrap();
    }

    /// Waits until the management API answers a token with this code.
    #[track_caller]
    fn comes_to_here(&self, code: u16, token: &str) {
        let wanted = format!("the management API answers {code}");
        poll::until(&wanted, LIMIT, || {
            Ok((self.code_here(token) == code).then_some(()))
        })
        .unwrap();
    }

    fn bearer(&self, token: &str) -> Client {
        self.gateway.with_token(token)
    }

    /// Creates a user with a user object who may have kubeconfigs.
    #[track_caller]
    fn add_user(&self, name: &str) {
        let user = json!({
            "apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": { "name": name },
        });
        make(&self.admin, USERS, &user);
        let rule = json!({
            "apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs"], "verbs": ["create", "get", "list"],
        });
        self.grant(
            &format!("{name}-has-kubeconfigs"),
            &rule,
            Subject::user(name),
        );
    }

    /// Creates a role with one rule and its binding, both with this name.
    #[track_caller]
    fn grant(&self, name: &str, rule: &Value, subject: Subject<'_>) {
        let role = json!({
            "apiVersion": RBAC, "kind": "ClusterRole", "metadata": { "name": name }, "rules": [rule],
        });
        make(&self.admin, &format!("/apis/{RBAC}/clusterroles"), &role);
        self.bind(name, name, subject);
    }

    #[track_caller]
    fn bind(&self, name: &str, role: &str, subject: Subject<'_>) {
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": { "name": name },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": group, "kind": subject.kind, "name": subject.name }],
        });
        make(&self.admin, BINDINGS, &binding);
    }

    /// Creates a record as a user, as soon as that is permitted.
    #[track_caller]
    fn create(&self, client: &Client, spec: Value) -> Value {
        let wanted = record::wanted(spec);
        poll::until("a kubeconfig is created", LIMIT, || {
            let answer = client.post(record::PATH, &wanted)?;
            Ok((answer.status == 201).then(|| answer.json().unwrap()))
        })
        .unwrap()
    }
}

#[track_caller]
fn merge(client: &Client, path: &str, patch: &Value) -> Answer {
    client.send(&patch_of(path, patch)).unwrap()
}

fn patch_of(path: &str, patch: &Value) -> Request {
    Request::new("PATCH", path).body("application/merge-patch+json", patch.to_string())
}

#[track_caller]
fn delete(client: &Client, path: &str) -> Answer {
    client.send(&Request::new("DELETE", path)).unwrap()
}

#[track_caller]
fn make(client: &Client, path: &str, object: &Value) -> Value {
    expect(client.post(path, object).unwrap(), 201)
        .unwrap()
        .json()
        .unwrap()
}

#[test]
fn each_cluster_of_a_file_has_a_token_that_opens_it_alone() {
    each_token_opens_one_cluster(&Place::of(&Server::start().unwrap()));
}

#[test]
fn a_stolen_token_mints_nothing_that_outlives_its_record() {
    a_stolen_token_is_contained(&Place::of(&Server::start().unwrap()));
}

#[test]
fn a_user_or_cluster_of_an_old_name_takes_over_nothing() {
    names_are_not_identities(&Place::of(&Server::start().unwrap()));
}

#[test]
fn who_may_no_longer_get_a_cluster_reaches_it_no_longer() {
    a_right_that_is_taken_away_ends_access(&Place::of(&Server::start().unwrap()));
}

#[test]
fn a_word_of_an_administrator_is_not_undone_by_the_owner() {
    an_administrator_has_the_last_word(&Place::of(&Server::start().unwrap()));
}

#[test]
fn a_disabled_user_is_disabled_with_a_client_certificate_too() {
    a_disabled_user_does_nothing(&Place::of(&Server::start().unwrap()));
}

/// kubectl ends when its watch does.
#[test]
fn a_watch_ends_with_the_token_that_opened_it() {
    let server = Server::start().unwrap();
    let place = Place::of(&server);
    let stolen = record::create(&place.alice, json!({}));
    let kubectl = server.kubectl("alice").unwrap();
    let file = kubectl.home().join("stolen.yaml");
    fs::write(&file, stolen["status"]["value"].as_str().unwrap()).unwrap();
    let arguments = ["get", RECORD, "--watch", "--output=name"];
    let mut watch = kubectl.with_kubeconfig(file).start(&arguments).unwrap();
    let line = |object| format!("{}/{}", RECORD, record::name(object));
    assert_eq!(watch.next_line(LIMIT).unwrap(), line(&stolen));
    let second = record::create(&place.alice, json!({}));
    assert_eq!(watch.next_line(LIMIT).unwrap(), line(&second));

    let path = record::at(&record::name(&stolen));
    expect(delete(&place.alice, &path), 200).unwrap();
    assert!(watch.wait(LIMIT).unwrap().success());
    let more = watch.next_line(LIMIT);
    assert!(more.is_err(), "it saw its own end: {more:?}");
}

/// A disabled user sees nothing more, with any credential.
#[test]
fn a_watch_ends_with_its_user() {
    let server = Server::start().unwrap();
    let place = Place::of(&server);
    let first = record::create(&place.alice, json!({}));
    let kubectl = server.kubectl("alice").unwrap();
    let arguments = ["get", RECORD, "--watch", "--output=name"];
    let mut watch = kubectl.start(&arguments).unwrap();
    let line = |object| format!("{}/{}", RECORD, record::name(object));
    assert_eq!(watch.next_line(LIMIT).unwrap(), line(&first));
    let disabled = json!({ "enabled": false });
    expect(
        merge(&place.admin, &format!("{USERS}/alice"), &disabled),
        200,
    )
    .unwrap();
    let path = record::at(&record::name(&first));
    expect(delete(&place.admin, &path), 200).unwrap();
    assert!(watch.wait(LIMIT).unwrap().success());
    let more = watch.next_line(LIMIT);
    assert!(more.is_err(), "it saw what came later: {more:?}");
}

#[test]
fn what_is_being_deleted_is_gone() {
    let server = Server::start().unwrap();
    let place = Place::of(&server);
    let created = record::create(
        &place.alice,
        json!({ "clusters": ["c-m-p66cdvlj", "c-m-fcd3g5h"] }),
    );
    let users = record::users(&created);
    let held = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    let begin = |path: &str| {
        expect(merge(&place.admin, path, &held), 200).unwrap();
        expect(delete(&place.admin, path), 200).unwrap();
    };

    begin(&format!("{CLUSTERS}/c-m-p66cdvlj"));
    assert_eq!(place.code_at(&users[1].token, DEMO[1]), 401);
    assert_eq!(place.code_at(&users[2].token, DEMO[0]), 503);
    let wanted = record::wanted(json!({ "clusters": ["c-m-p66cdvlj"] }));
    let refused = place.alice.post(record::PATH, &wanted).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    let all = record::create(&place.alice, json!({ "clusters": ["*"] }));
    let names: Vec<String> = record::users(&all)
        .into_iter()
        .map(|user| user.name)
        .collect();
    assert_eq!(names, ["rancher", "downstream2"]);

    begin(&format!("{USERS}/alice"));
    assert_eq!(place.code_at(&users[2].token, DEMO[0]), 401);
    assert_eq!(place.code_here(&users[0].token), 401);
    let refused = place
        .alice
        .post(record::PATH, &record::wanted(json!({})))
        .unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
}

/// The authenticated identity is decisive, not the impersonated one.
#[test]
fn a_token_of_an_administrator_mints_nothing_more_as_somebody_else() {
    let server = Server::start().unwrap();
    let place = Place::of(&server);
    place.add_user("ops");
    place.bind("ops-is-admin", "cluster-admin", Subject::user("ops"));
    let stolen = record::create(&place.admin.acting_as("ops", &[]), json!({}));
    let thief = place.bearer(&record::tokens(&stolen)[0]);
    let as_alice = thief.acting_as("alice", &[]);
    let minted = record::create(&as_alice, json!({}));
    let parent = &minted["status"]["parentToken"]["name"];
    assert_eq!(parent, &stolen["status"]["tokens"][0]);
    let further = record::wanted(json!({ "clusters": ["c-m-fcd3g5h"] }));
    assert_eq!(as_alice.post(record::PATH, &further).unwrap().status, 403);
    let token = &record::tokens(&minted)[0];
    assert_eq!(place.code_here(token), 200);
    let path = record::at(&record::name(&stolen));
    expect(delete(&place.admin, &path), 200).unwrap();
    assert_eq!(place.code_here(token), 401);
}

#[track_caller]
pub(crate) fn each_token_opens_one_cluster(place: &Place) {
    let (alice, admin) = (&place.alice, &place.admin);
    let created = record::create(
        alice,
        json!({ "clusters": ["c-m-p66cdvlj", "c-m-fcd3g5h"] }),
    );
    let users = record::users(&created);
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["rancher", "downstream1", "downstream2"]);
    let codes = users.iter().map(|FileUser { token, .. }| {
        let clusters = DEMO.map(|cluster| place.code_at(token, cluster));
        (place.code_here(token), clusters)
    });
    let codes: Vec<_> = codes.collect();
    assert_eq!(
        codes,
        [(200, [401, 401]), (401, [401, 503]), (401, [503, 401])]
    );
    let revoked = record::at(&record::name(&created));
    expect(delete(alice, &revoked), 200).unwrap();
    for FileUser { token, .. } in &users {
        let codes = DEMO.map(|cluster| place.code_at(token, cluster));
        assert_eq!(
            (place.code_here(token), codes),
            (401, [401, 401]),
            "one record is behind all"
        );
    }

    expect(merge(admin, SHARED_ABOVE, &json!({ "value": "0" })), 200).unwrap();
    let shared = poll::until("the setting acts", LIMIT, || {
        let shared = record::create(alice, json!({ "clusters": ["c-m-p66cdvlj"] }));
        Ok((record::users(&shared).len() == 1).then_some(shared))
    })
    .unwrap();
    let FileUser { name, token } = &record::users(&shared)[0];
    assert_eq!(name, "rancher");
    assert_eq!(
        (place.code_here(token), place.code_at(token, DEMO[1])),
        (200, 503)
    );
    expect(merge(admin, SHARED_ABOVE, &json!({ "value": "50" })), 200).unwrap();
}

#[track_caller]
pub(crate) fn a_stolen_token_is_contained(place: &Place) {
    let alice = &place.alice;
    let stolen = record::create(alice, json!({ "clusters": ["c-m-p66cdvlj"], "ttl": 3600 }));
    let token = &record::tokens(&stolen)[0];
    let thief = place.bearer(token);

    let longer = record::wanted(json!({ "clusters": ["*"], "ttl": 7200 }));
    let refused = thief.post(record::PATH, &longer).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    let further = record::wanted(json!({ "clusters": ["c-m-fcd3g5h"] }));
    let refused = thief.post(record::PATH, &further).unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());

    let second = record::create(&thief, json!({ "clusters": ["*"] }));
    let ttl = second["spec"]["ttl"].as_i64().unwrap();
    assert!(
        (3400..=3600).contains(&ttl),
        "the rest of the first hour: {ttl}"
    );
    let own = record::users(&second);
    let names: Vec<&str> = own.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(
        names,
        ["rancher", "downstream1"],
        "the token is for no more of the star"
    );
    let wanted = json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {} });
    let third = make(&place.bearer(&own[0].token), TOKENS, &wanted);
    let third = third["status"]["bearerToken"].as_str().unwrap().to_owned();
    for token in [token, &own[0].token, &third] {
        place.comes_to_here(200, token);
    }
    expect(delete(alice, &record::at(&record::name(&stolen))), 200).unwrap();
    for token in [token, &own[0].token, &third] {
        place.comes_to_here(401, token);
    }
    place.comes_to(401, &own[1].token, DEMO[1]);

    expect(merge(&place.admin, MINT, &json!({ "value": "never" })), 200).unwrap();
    let stolen = record::create(alice, json!({}));
    let thief = place.bearer(&record::tokens(&stolen)[0]);
    poll::until("a token mints nothing", LIMIT, || {
        let answer = thief.post(record::PATH, &record::wanted(json!({})))?;
        Ok((answer.status == 403).then_some(()))
    })
    .unwrap();
    expect(merge(&place.admin, MINT, &json!({ "value": "" })), 200).unwrap();
}

#[track_caller]
pub(crate) fn names_are_not_identities(place: &Place) {
    let (alice, admin) = (&place.alice, &place.admin);
    let created = record::create(
        alice,
        json!({ "clusters": ["c-m-p66cdvlj", "c-m-fcd3g5h"] }),
    );
    let users = record::users(&created);
    let again = |path: &str| {
        let mut object = expect(admin.get(path).unwrap(), 200)
            .unwrap()
            .json()
            .unwrap();
        expect(delete(admin, path), 200).unwrap();
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
        ] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        make(admin, path.rsplit_once('/').unwrap().0, &object);
    };
    again(&format!("{CLUSTERS}/c-m-p66cdvlj"));
    place.comes_to(401, &users[1].token, DEMO[1]);
    assert_eq!(place.code_at(&users[2].token, DEMO[0]), 503);
    let former = place.bearer(&users[0].token);
    let named = record::wanted(json!({ "clusters": ["c-m-p66cdvlj"] }));
    let refused = former.post(record::PATH, &named).unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    let others = record::users(&record::create(&former, json!({ "clusters": ["*"] })));
    let others: Vec<&str> = others.iter().map(|user| user.name.as_str()).collect();
    assert!(!others.contains(&users[1].name.as_str()), "{others:?}");
    again(&format!("{USERS}/alice"));
    place.comes_to_here(401, &users[0].token);
    place.comes_to(401, &users[2].token, DEMO[0]);
    // The records of the former alice may still exist, until the sweeper removes them.
    assert_eq!(record::names(alice), [""; 0]);
    let former = record::at(&record::name(&created));
    assert_eq!(alice.get(&former).unwrap().status, 404);
    let renamed = merge(
        alice,
        &former,
        &json!({ "spec": { "description": "mine" } }),
    );
    assert_eq!(renamed.status, 404);
    let fresh = place.create(alice, json!({ "clusters": ["c-m-p66cdvlj"] }));
    let users = record::users(&fresh);
    place.comes_to_here(200, &users[0].token);
    place.comes_to(503, &users[1].token, DEMO[1]);
}

#[track_caller]
pub(crate) fn a_right_that_is_taken_away_ends_access(place: &Place) {
    let admin = &place.admin;
    place.add_user("carol");
    let rule = json!({
        "apiGroups": ["management.cattle.io"], "resources": ["clusters"],
        "resourceNames": ["c-m-p66cdvlj"], "verbs": ["get"],
    });
    // By a group of her login, which is stored in the record.
    place.grant("team-gets-downstream1", &rule, Subject::group("team"));
    let carol = admin.acting_as("carol", &["team"]);
    let created = place.create(&carol, json!({ "clusters": ["c-m-p66cdvlj"] }));
    assert_eq!(created["status"]["groups"], json!(["team"]));
    let users = record::users(&created);
    place.comes_to(503, &users[1].token, DEMO[1]);
    expect(
        delete(admin, &format!("{BINDINGS}/team-gets-downstream1")),
        200,
    )
    .unwrap();
    place.comes_to(401, &users[1].token, DEMO[1]);
    assert_eq!(
        place.code_here(&users[0].token),
        200,
        "everybody may reach the server itself"
    );
    place.bind(
        "team-again",
        "team-gets-downstream1",
        Subject::group("team"),
    );
    place.comes_to(503, &users[1].token, DEMO[1]);
}

#[track_caller]
pub(crate) fn an_administrator_has_the_last_word(place: &Place) {
    let (alice, admin) = (&place.alice, &place.admin);
    let path = record::at(&record::name(&record::create(alice, json!({}))));
    let set = |client: &Client, suspended: Value| {
        merge(
            client,
            &path,
            &json!({ "spec": { "suspended": suspended } }),
        )
    };
    let reason = |answer: &Answer| {
        let object = answer.json().unwrap();
        let mut conditions = object["status"]["conditions"].as_array().unwrap().iter();
        let found = conditions.find(|condition| condition["type"] == "Suspended");
        found.map(|condition| condition["reason"].as_str().unwrap().to_owned())
    };
    let thief = place.bearer(&record::tokens(&record::create(alice, json!({})))[0]);
    assert_eq!(reason(&set(alice, json!(true))).as_deref(), Some("ByOwner"));
    for undone in [json!(false), json!(null)] {
        let refused = set(&thief, undone);
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(
            refused.text().contains("log in instead"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(reason(&set(alice, json!(false))), None);
    assert_eq!(
        reason(&set(admin, json!(true))).as_deref(),
        Some("ByAdministrator")
    );
    for undone in [json!(false), json!(null)] {
        let refused = set(alice, undone);
        assert_eq!(refused.status, 403, "{}", refused.text());
        let text = refused.text();
        assert!(
            text.contains("only an administrator may change that"),
            "{text}"
        );
    }
    let forged = json!({ "status": { "conditions": [] }, "spec": { "description": "x" } });
    assert_eq!(
        reason(&merge(alice, &path, &forged)).as_deref(),
        Some("ByAdministrator")
    );
    assert_eq!(set(alice, json!(false)).status, 403);
    assert_eq!(reason(&set(admin, json!(false))), None);
    assert_eq!(set(&thief, json!(true)).status, 200);
}

#[track_caller]
pub(crate) fn a_disabled_user_does_nothing(place: &Place) {
    let (alice, admin) = (&place.alice, &place.admin);
    let name = record::name(&record::create(alice, json!({})));
    let user = format!("{USERS}/alice");
    expect(merge(admin, &user, &json!({ "enabled": false })), 200).unwrap();
    poll::until("alice is disabled", LIMIT, || {
        Ok((alice.get(record::PATH)?.status == 403).then_some(()))
    })
    .unwrap();
    let asked = [
        Request::get(record::PATH),
        Request::get(&record::at(&name)),
        patch_of(
            &record::at(&name),
            &json!({ "spec": { "suspended": false } }),
        ),
        Request::new("DELETE", &record::at(&name)),
    ];
    for request in asked {
        let answer = alice.send(&request).unwrap();
        assert_eq!(answer.status, 403, "{request}: {}", answer.text());
        assert!(
            answer.text().contains("user alice is disabled"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(alice.get("/livez").unwrap().status, 200);
    expect(merge(admin, &user, &json!({ "enabled": true })), 200).unwrap();
    poll::until("alice is back", LIMIT, || {
        Ok((alice.get(record::PATH)?.status == 200).then_some(()))
    })
    .unwrap();
}
