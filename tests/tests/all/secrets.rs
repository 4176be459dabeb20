//! Secrets are only in the answer to the create request, and in no other place.
//!
//! A server at its most verbose level creates kubeconfigs and tokens; they are read, changed, used
//! and deleted in every possible way. Then all data that left the process is searched: all other
//! answers, the log, every file of the data folder.

mod needles;

use std::fs;
use std::path::{Path, PathBuf};

use e2e::Server;
use e2e::http::{Client, Request, encode, expect};
use e2e::server::Options;
use serde_json::{Value, json};

use crate::record;
use needles::Needles;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

const REPRESENTATIONS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
];

/// The place and the bytes of data that left the process.
type Sighting = (String, Vec<u8>);

#[test]
fn tokens_are_nowhere_but_in_the_answer_to_create() {
    let server = talkative();
    let alice = server.client("alice").unwrap();
    let specs = [
        json!({ "description": "canary-in-record" }),
        json!({ "clusters": ["*"], "ttl": 3600 }),
        json!({ "clusters": ["c-m-fcd3g5h"], "includeDefaultEntry": false }),
    ];
    let created = specs.map(|spec| record::create(&alice, spec));
    let tokens: Vec<String> = created.iter().flat_map(record::tokens).collect();
    assert_eq!(tokens.len(), 5, "one for each user of each file");

    let mut sightings = Vec::new();
    for record in &created {
        handle(&alice, record::PATH, record, &mut sightings);
    }
    for token in &tokens {
        show_around(&alice, token, &mut sightings);
    }
    read_all(&server.client("admin").unwrap(), &mut sightings);
    delete(&alice, &created, &mut sightings);
    for token in &tokens {
        show_around(&alice, token, &mut sightings);
    }
    sightings.extend(left_behind(&server));

    let secrets = Needles::of_tokens(&tokens);
    let answers = created.map(|record| ("create".to_owned(), record.to_string().into_bytes()));
    assert_eq!(
        secrets.plain_found_in(&answers),
        tokens,
        "where they belong"
    );
    secrets.assert_absent(&sightings);
    check_the_search(&server, &sightings);
}

#[test]
fn a_lone_token_is_nowhere_but_in_the_answer_to_create() {
    let server = talkative();
    let alice = server.client("alice").unwrap();
    let wanted = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "metadata": { "generateName": "token-" },
        "spec": { "description": "canary-in-record" },
    });
    let answer = alice.post(TOKENS, &wanted).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let created = answer.json().unwrap();
    let value = created["status"]["value"].as_str().unwrap().to_owned();

    let mut sightings = Vec::new();
    handle(&alice, TOKENS, &created, &mut sightings);
    show_around(&alice, &value, &mut sightings);
    read_all(&server.client("admin").unwrap(), &mut sightings);
    sightings.extend(left_behind(&server));

    let secrets = Needles::of_tokens(std::slice::from_ref(&value));
    let answers = [("create".to_owned(), created.to_string().into_bytes())];
    assert_eq!(
        secrets.plain_found_in(&answers),
        [value],
        "where it belongs"
    );
    secrets.assert_absent(&sightings);
    check_the_search(&server, &sightings);
}

#[test]
fn what_is_downloaded_and_exchanged_is_nowhere_but_in_its_answer() {
    let server = talkative();
    let [alice, admin] = ["alice", "admin"].map(|user| server.client(user).unwrap());
    let kubectl = server.kubectl("admin").unwrap();
    let role = ["create", "clusterrole", "delete-clusters", "--verb=delete"];
    let on = ["--resource=clusters.management.cattle.io"];
    kubectl.output(&[&role[..], &on].concat()).unwrap();
    let bind = ["create", "clusterrolebinding", "alice-deletes"];
    let to = ["--clusterrole=delete-clusters", "--user=alice"];
    kubectl.output(&[&bind[..], &to].concat()).unwrap();

    let path = "/v1/spectroclusters/c-m-fcd3g5h/assets/adminkubeconfig";
    let file = expect(alice.get(path).unwrap(), 200).unwrap().text();
    let parsed: Value = serde_saphyr::from_str(&file).unwrap();
    let token = &parsed["users"][0]["user"]["token"];
    let mut tokens = vec![token.as_str().unwrap().to_owned()];
    let spec = json!({ "generateToken": false, "description": "canary-in-record" });
    let without = record::create(&alice, spec);
    let wanted = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "spec": { "kubeconfigName": record::name(&without), "clusterName": "local" },
    });
    let exchanged = alice.post(TOKENS, &wanted).unwrap();
    let exchanged = expect(exchanged, 201).unwrap().json().unwrap();
    let token = exchanged["status"]["bearerToken"].as_str().unwrap();
    tokens.push(token.to_owned());

    let mut sightings = Vec::new();
    handle(&alice, TOKENS, &exchanged, &mut sightings);
    for token in &tokens {
        show_around(&alice, token, &mut sightings);
    }
    read_all(&admin, &mut sightings);
    sightings.extend(left_behind(&server));

    let secrets = Needles::of_tokens(&tokens);
    let answers =
        [file, exchanged.to_string()].map(|text| ("answer".to_owned(), text.into_bytes()));
    assert_eq!(
        secrets.plain_found_in(&answers),
        tokens,
        "where they belong"
    );
    secrets.assert_absent(&sightings);
    check_the_search(&server, &sightings);
}

#[test]
fn everything_in_the_data_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start().unwrap();
    record::create(&server.client("alice").unwrap(), json!({}));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data_dir()), 0o700);
    for file in files(&server.data_dir()) {
        let open = mode(&file) & 0o077;
        assert_eq!(open, 0, "{}", file.display());
    }
}

fn talkative() -> Server {
    Server::start_with(Options {
        arguments: vec!["--log-level".to_owned(), "trace".to_owned()],
        ..Options::default()
    })
    .unwrap()
}

/// Reads and changes one object in every way.
fn handle(client: &Client, collection: &str, created: &Value, sightings: &mut Vec<Sighting>) {
    let path = format!("{collection}/{}", record::name(created));
    let mut live = json_of(client, &path);
    live["spec"]["description"] = json!("replaced");
    let applied = json!({
        "apiVersion": created["apiVersion"], "kind": created["kind"],
        "metadata": { "name": created["metadata"]["name"] },
        "spec": { "description": "applied" },
        "status": { "value": "planted" },
    });
    let patch = |kind: &str, body: Value| {
        Request::new("PATCH", &path).body(&format!("application/{kind}"), body.to_string())
    };
    let add = json!([{ "op": "add", "path": "/spec/description", "value": "added" }]);
    let copy = json!([{ "op": "copy", "from": "/status/value", "path": "/spec/description" }]);
    let merge = json!({ "spec": { "description": "merged" } });
    let requests = [
        Request::new("PUT", &path).json(&live),
        patch("json-patch+json", add),
        patch("json-patch+json", copy),
        patch("merge-patch+json", merge.clone()),
        patch("strategic-merge-patch+json", merge),
        patch("apply-patch+yaml", applied).query("fieldManager=secrets&force=true"),
        Request::new("POST", collection)
            .json(created)
            .query("dryRun=All"),
        Request::new("DELETE", &path).query("dryRun=All"),
    ];
    for request in requests {
        note(client, &request, sightings);
    }
    for kind in REPRESENTATIONS {
        note(client, &Request::get(&path).accept(kind), sightings);
        note(client, &Request::get(collection).accept(kind), sightings);
        let watch = Request::get(collection)
            .accept(kind)
            .query(record::INITIAL_EVENTS);
        note(client, &watch, sightings);
    }
}

/// Uses a token, valid and modified, where it is accepted and where it is not.
fn show_around(client: &Client, token: &str, sightings: &mut Vec<Sighting>) {
    let bare = client.without_credential();
    let broken = format!("{token}x");
    for (token, path) in [
        (token, record::PATH),
        (token, "/k8s/clusters/c-m-fcd3g5h/api/v1/pods"),
        (token, "/nowhere"),
        (&broken, record::PATH),
    ] {
        let request = Request::get(path).header("Authorization", &format!("Bearer {token}"));
        note(&bare, &request, sightings);
    }
}

/// Reads everything that an administrator can read.
fn read_all(admin: &Client, sightings: &mut Vec<Sighting>) {
    for path in [
        "/metrics",
        "/openapi/v2",
        "/openapi/v3/apis/ext.cattle.io/v1",
        "/api/v1/secrets",
        "/api/v1/configmaps",
        record::PATH,
        TOKENS,
    ] {
        note(admin, &Request::get(path), sightings);
    }
    let token = encode("cattle.io/user-id in (alice, bob)");
    note(
        admin,
        &Request::get(&format!("{TOKENS}?labelSelector={token}")),
        sightings,
    );
}

fn delete(client: &Client, created: &[Value], sightings: &mut Vec<Sighting>) {
    let path = record::at(&record::name(&created[0]));
    note(client, &Request::new("DELETE", &path), sightings);
    note(client, &Request::get(&path), sightings);
    note(client, &Request::new("DELETE", record::PATH), sightings);
    assert!(record::names(client).is_empty());
}

fn note(client: &Client, request: &Request, sightings: &mut Vec<Sighting>) {
    let answer = record::state(client, request);
    let mut seen = format!("{:?}\n", answer.headers).into_bytes();
    seen.extend(&answer.body);
    sightings.push((format!("{request}"), seen));
}

fn json_of(client: &Client, path: &str) -> Value {
    client.get(path).unwrap().json().unwrap()
}

/// Returns the log and the files.
fn left_behind(server: &Server) -> Vec<Sighting> {
    let mut sightings = vec![("log".to_owned(), server.log().unwrap().into_bytes())];
    for file in files(&server.data_dir()) {
        let content = fs::read(&file).unwrap();
        sightings.push((file.display().to_string(), content));
    }
    sightings
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Checks that the search finds existing data: plain text in answers, log and store, base64 in a
/// file.
#[track_caller]
fn check_the_search(server: &Server, sightings: &[Sighting]) {
    let found = |needle: &str, place: &str| {
        let needles = Needles::of_text(needle);
        let mut places = sightings.iter().filter(|(name, _)| name.contains(place));
        assert!(
            places.any(|place| needles.is_found_in(place)),
            "{needle} in {place}"
        );
    };
    found("canary-in-record", "/store/");
    found("replaced", "PUT ");
    found("/apis/ext.cattle.io/v1/", "log");
    let admin = server.kubeconfig("admin").display().to_string();
    found("BEGIN CERTIFICATE", &admin);
}
