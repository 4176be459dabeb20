//! The permissions of every role: every verb and served kind, by real requests, as one table.
//!
//! The table is `tests/snapshots/permissions.txt`; `SNAPSHOTS=overwrite` updates it, and its diff
//! shows the effect of a change on users. Kinds come from discovery and paths from the index, so a
//! new kind changes the table, and a kind without a sample object fails the test.
//!
//! Each kind has one object `probe`, which the administrator created, or Alice for the kinds that
//! belong to their users. Writes are dry runs on it, so that each cell shows the result of a
//! permitted request.

mod samples;

use std::fmt::Write as _;

use e2e::Server;
use e2e::http::{Client, Request};
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use samples::Sample;

/// The roles. The first has no credential, the second a certificate for a user who is not mentioned
/// elsewhere.
const ROLES: [&str; 5] = ["nobody", "stranger", "alice", "bob", "admin"];

/// The paths that do not require authentication.
const PUBLIC: [&str; 6] = [
    "/.well-known/kubeconfig-login",
    "/.well-known/openid-configuration",
    "/healthz",
    "/livez",
    "/openid/v1/jwks",
    "/readyz",
];

/// Paths that are not in the index.
const HIDDEN: [&str; 6] = [
    "/",
    "/debug/pprof/",
    "/k8s/clusters/c-m-p66cdvlj/api",
    "/livez/ping",
    "/logs",
    "/nowhere",
];

/// A kind, as named by discovery.
struct Kind {
    group_version: String,
    resource: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

#[test]
fn the_permission_matrix() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    let clients = [
        admin.without_credential(),
        server.stranger("carol").unwrap(),
        server.client("alice").unwrap(),
        server.client("bob").unwrap(),
        admin.clone(),
    ];
    let mut table = format!("{:<50} {:<16}", "", "");
    writeln!(table, "{}", row(&ROLES)).unwrap();
    for path in paths(&admin) {
        let codes = clients
            .each_ref()
            .map(|client| client.get(&path).unwrap().status);
        let public = PUBLIC.contains(&path.as_str());
        assert_eq!(codes[0] == 200, public, "{path} for nobody");
        assert!(public || codes[0] == 401, "{path} for nobody: {}", codes[0]);
        writeln!(table, "{path:<50} {:<16} {}", "get", row(&codes)).unwrap();
    }
    for kind in kinds(&admin) {
        let probe = Probe::make(&kind, [&clients[2], &admin]);
        for (verb, request) in probe.requests() {
            let codes = clients
                .each_ref()
                .map(|client| client.send(&request).unwrap().status);
            assert_eq!(codes[0], 401, "{request} for nobody");
            let name = format!("{} {}", kind.resource, kind.group_version);
            writeln!(table, "{name:<50} {verb:<16} {}", row(&codes)).unwrap();
        }
    }
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    assert_data_eq!(
        lines.join("\n") + "\n",
        file!["../../snapshots/permissions.txt"]
    );
}

fn row(cells: &[impl std::fmt::Display]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<9}")).collect();
    cells.concat()
}

fn paths(admin: &Client) -> Vec<String> {
    let index = admin.get("/").unwrap().json().unwrap();
    let known = index["paths"].as_array().unwrap().iter();
    let mut paths: Vec<String> = known
        .map(|path| path.as_str().unwrap().to_owned())
        .collect();
    paths.extend(HIDDEN.map(str::to_owned));
    paths.sort();
    paths
}

fn kinds(admin: &Client) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let groups = admin.get("/apis").unwrap().json().unwrap();
    let groups = groups["groups"].as_array().unwrap().iter();
    let versions = groups.flat_map(|group| group["versions"].as_array().unwrap().clone());
    let versions = versions.map(|version| version["groupVersion"].as_str().unwrap().to_owned());
    for version in ["v1".to_owned()].into_iter().chain(versions) {
        let list = admin.get(&root(&version)).unwrap().json().unwrap();
        for resource in list["resources"].as_array().unwrap() {
            let text = |field: &str| resource[field].as_str().unwrap().to_owned();
            let verbs = resource["verbs"].as_array().unwrap().iter();
            kinds.push(Kind {
                group_version: version.clone(),
                resource: text("name"),
                kind: text("kind"),
                namespaced: resource["namespaced"] == true,
                verbs: verbs
                    .map(|verb| verb.as_str().unwrap().to_owned())
                    .collect(),
            });
        }
    }
    kinds
}

fn root(group_version: &str) -> String {
    match group_version {
        "v1" => "/api/v1".to_owned(),
        named => format!("/apis/{named}"),
    }
}

/// The object of a kind that the requests are about.
struct Probe<'a> {
    kind: &'a Kind,
    collection: String,
    subresource: String,
    /// The object in a create request.
    wanted: Value,
    /// The stored object; `null` for a review.
    live: Value,
}

impl<'a> Probe<'a> {
    #[track_caller]
    fn make(kind: &'a Kind, [alice, admin]: [&Client; 2]) -> Self {
        let (resource, subresource) = kind
            .resource
            .split_once('/')
            .unwrap_or((&kind.resource, ""));
        let place = if kind.namespaced {
            "/namespaces/default/"
        } else {
            "/"
        };
        let collection = format!("{}{place}{resource}", root(&kind.group_version));
        let Some(Sample { owner, mut object }) = samples::sample(resource) else {
            panic!("{resource} is served, but has no sample: who may do what with it?");
        };
        object["apiVersion"] = json!(kind.group_version);
        object["kind"] = json!(kind.kind);
        let mut probe = Self {
            kind,
            collection,
            subresource: subresource.to_owned(),
            wanted: object,
            live: Value::Null,
        };
        if kind.verbs.iter().any(|verb| verb == "get") {
            let owner = if owner == "alice" { alice } else { admin };
            probe.live = probe.ensure(owner);
            // The server itself may write to some of them at any time.
            probe.live["metadata"]["resourceVersion"] = Value::Null;
        }
        probe
    }

    fn ensure(&self, owner: &Client) -> Value {
        let created = owner.post(&self.collection, &self.wanted).unwrap();
        if created.status == 201 {
            let mut created = created.json().unwrap();
            created["status"]["value"] = Value::Null;
            return created;
        }
        assert_eq!(
            created.status,
            409,
            "{}: {}",
            self.collection,
            created.text()
        );
        let name = self.wanted["metadata"]["name"].as_str().unwrap();
        owner
            .get(&format!("{}/{name}", self.collection))
            .unwrap()
            .json()
            .unwrap()
    }

    /// Returns one request for each verb, whether or not the kind supports it.
    fn requests(&self) -> Vec<(&'static str, Request)> {
        let mut another = self.wanted.clone();
        if another["metadata"]["name"].is_string() {
            another["metadata"]["name"] = json!("another");
        }
        let create = Request::new("POST", &self.collection)
            .json(&another)
            .query("dryRun=All");
        if self.live.is_null() {
            return vec![("create", create)];
        }
        let name = self.live["metadata"]["name"].as_str().unwrap();
        let mut one = format!("{}/{name}", self.collection);
        if !self.subresource.is_empty() {
            one = format!("{one}/{}", self.subresource);
        }
        let nothing = "labelSelector=no-such-label%3Dx";
        let watch = format!("{nothing}&watch=true&timeoutSeconds=1&resourceVersion=1");
        let list = || Request::get(&self.collection);
        let patch = Request::new("PATCH", &one).body("application/merge-patch+json", "{}");
        let on_one = [
            ("get", Request::get(&one)),
            (
                "update",
                Request::new("PUT", &one)
                    .json(&self.live)
                    .query("dryRun=All"),
            ),
            ("patch", patch.query("dryRun=All")),
            ("delete", Request::new("DELETE", &one).query("dryRun=All")),
        ];
        let on_all = [
            ("list", list().query(nothing)),
            ("watch", list().query(&watch)),
            ("create", create),
            (
                "deletecollection",
                Request::new("DELETE", &self.collection).query(nothing),
            ),
        ];
        let known = |verb: &str| self.kind.verbs.iter().any(|known| known == verb);
        match self.subresource.is_empty() {
            true => on_one.into_iter().chain(on_all).collect(),
            false => on_one.into_iter().filter(|(verb, _)| known(verb)).collect(),
        }
    }
}
