//! A user cannot learn of records of other users: not by any verb, representation, selector or
//! forged token, and not by a difference between the answers for an existing and a missing record.
//!
//! Alice has records, Bob sends the requests. Traces of Alice's records are found by a mark, which
//! is in the description, a label and an annotation of each, and by their names and uids. Every
//! request is also sent by the administrator, who must see the records, which shows that the
//! requests work.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::Server;
use e2e::http::{Answer, Client, Request, encode};
use serde_json::{Value, json};

use crate::record;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

const COLLECTIONS: [&str; 2] = [record::PATH, TOKENS];

const MARK: &str = "alices-own";

const REPRESENTATIONS: [&str; 6] = [
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
];

/// Label selectors that try to widen the server's restriction.
const LABELS: [&str; 14] = [
    "cattle.io/user-id=alice",
    "cattle.io/user-id!=bob",
    "cattle.io/user-id in (alice,bob)",
    "cattle.io/user-id in (alice, bob),cattle.io/user-id=alice",
    "cattle.io/user-id notin (bob)",
    "!cattle.io/user-id",
    "cattle.io/user-id",
    " cattle.io/user-id = alice ",
    "cattle.io/user-id==alice,cattle.io/user-id==alice",
    "mark=alices-own",
    "mark",
    "mark!=x",
    "cattle.io/kind=kubeconfig",
    "authn.management.cattle.io/kubeconfig-id",
];

/// Two users and their objects.
struct Fixture {
    server: Server,
    alice: Client,
    bob: Client,
    admin: Client,
    /// By collection: one object of Alice, one of Bob.
    alices: [Value; 2],
    bobs: [Value; 2],
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start().unwrap();
        let [alice, bob, admin] =
            ["alice", "bob", "admin"].map(|user| server.client(user).unwrap());
        let alices = COLLECTIONS.map(|collection| make(&alice, collection, MARK));
        let bobs = COLLECTIONS.map(|collection| make(&bob, collection, "bobs-own"));
        Self {
            server,
            alice,
            bob,
            admin,
            alices,
            bobs,
        }
    }

    /// Returns the strings that reveal Alice's records. Her tokens contain the names of her
    /// records, so they need no mark of their own.
    fn traces(&self) -> Vec<String> {
        let texts = self.alices.iter().flat_map(|object| {
            ["name", "uid"].map(|field| object["metadata"][field].as_str().unwrap().to_owned())
        });
        texts.chain([MARK.to_owned()]).collect()
    }

    #[track_caller]
    fn assert_silent(&self, request: &Request, answer: &Answer) {
        let text = answer.text();
        for trace in self.traces() {
            assert!(
                !text.contains(&trace),
                "{request} tells of {trace}:\n{text}"
            );
        }
    }
}

#[test]
fn a_user_sees_no_others_in_any_representation() {
    let all = Fixture::new();
    for (place, collection) in COLLECTIONS.iter().enumerate() {
        for representation in REPRESENTATIONS {
            for query in ["", "limit=500", "resourceVersion=0", record::INITIAL_EVENTS] {
                let request = Request::get(collection).accept(representation).query(query);
                let answer = record::state(&all.bob, &request);
                all.assert_silent(&request, &answer);
                let told = record::state(&all.admin, &request);
                assert_eq!(answer.status, told.status, "{request} {representation}");
                if told.status == 200 {
                    let [alices, bobs] =
                        [&all.alices, &all.bobs].map(|own| record::name(&own[place]));
                    assert!(answer.text().contains(&bobs), "{request} {representation}");
                    assert!(told.text().contains(&bobs), "{request} {representation}");
                    assert!(told.text().contains(&alices), "{request} {representation}");
                }
            }
        }
    }
}

#[test]
fn no_selector_widens_the_view() {
    let all = Fixture::new();
    let [alices, bobs] = [&all.alices[0], &all.bobs[0]].map(record::name);
    let fields = [
        format!("metadata.name={alices}"),
        format!("metadata.name!={bobs}"),
        format!("metadata.name=={alices},metadata.namespace="),
        "metadata.namespace!=x".to_owned(),
        "status.userName=alice".to_owned(),
        "status.userName!=bob".to_owned(),
        "status.expired=false,spec.clusters!=x".to_owned(),
    ];
    let labels = LABELS.map(|text| format!("labelSelector={}", encode(text)));
    let fields = fields.map(|text| format!("fieldSelector={}", encode(&text)));
    for selector in labels.iter().chain(&fields) {
        for collection in COLLECTIONS {
            for query in [
                selector.clone(),
                format!("{selector}&{}", record::INITIAL_EVENTS),
            ] {
                let request = Request::get(collection).query(&query);
                let answer = record::state(&all.bob, &request);
                assert_eq!(answer.status, 200, "{request}: {}", answer.text());
                all.assert_silent(&request, &answer);
            }
        }
    }
    let told = all
        .admin
        .get(&format!("{}?{}", record::PATH, fields[0]))
        .unwrap();
    assert!(told.text().contains(MARK), "the administrator selects it");
}

#[test]
fn no_unknown_field_selects() {
    let all = Fixture::new();
    for field in ["spec.description", "status.value", "metadata.uid"] {
        let query = format!("fieldSelector={}", encode(&format!("{field}={MARK}")));
        let request = Request::get(record::PATH).query(&query);
        let answer = all.bob.send(&request).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

#[test]
fn no_forged_continue_token_leads_to_others() {
    let all = Fixture::new();
    let list = all.bob.get(record::PATH).unwrap().json().unwrap();
    let now: i64 = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let before = "kubeconfig-";
    let alices = record::name(&all.alices[0]);
    for (revision, start) in [
        (now, before),
        (-1, before),
        (1, before),
        (now, "a"),
        (now, &alices[..alices.len() - 1]),
        (now, "../tokens/token-"),
        (now, "/ext.cattle.io/tokens/"),
    ] {
        let forged =
            json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": format!("{start}\0") });
        let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
        for representation in REPRESENTATIONS {
            let query = format!("limit=10&continue={forged}");
            let request = Request::get(record::PATH)
                .accept(representation)
                .query(&query);
            let answer = all.bob.send(&request).unwrap();
            all.assert_silent(&request, &answer);
            assert!(
                matches!(answer.status, 200 | 400 | 406 | 410),
                "{request}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn counts_and_pages_are_of_the_own_records_only() {
    let all = Fixture::new();
    let request = format!("{}?limit=1", record::PATH);
    let page = all.bob.get(&request).unwrap().json().unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["metadata"].get("continue"), None);
    assert_eq!(page["metadata"].get("remainingItemCount"), None);
    let page = all.admin.get(&request).unwrap().json().unwrap();
    assert_ne!(page["metadata"].get("continue"), None);
}

#[test]
fn others_are_answered_as_if_they_were_not_there() {
    let all = Fixture::new();
    for (place, collection) in COLLECTIONS.iter().enumerate() {
        let theirs = &all.alices[place];
        let name = record::name(theirs);
        // A name of the same length, so that even the lengths of answers are equal.
        let absent = format!("{}{}", &name[..name.len() - 5], "00000");
        for request in about(theirs) {
            let [foreign, nothing] = [&name, &absent].map(|name| {
                let answer = all
                    .bob
                    .send(&request(&format!("{collection}/{name}"), name))
                    .unwrap();
                without_date(answer, name)
            });
            let shown = request(collection, &name);
            assert_eq!(foreign, nothing, "{shown}");
            assert_eq!(foreign.status, 404, "{shown}: {}", foreign.text());
        }
    }
}

#[test]
fn a_collection_delete_reaches_the_own_records_only() {
    let all = Fixture::new();
    let [alices, bobs] = [&all.alices[0], &all.bobs[0]].map(record::name);
    let labels = LABELS.map(|text| format!("labelSelector={}", encode(text)));
    let named = format!(
        "fieldSelector={}",
        encode(&format!("metadata.name={alices}"))
    );
    let mut queries: Vec<&str> = labels.iter().map(String::as_str).collect();
    queries.extend([
        named.as_str(),
        "dryRun=All",
        "propagationPolicy=Foreground",
        "limit=1",
        "",
    ]);
    for query in queries {
        let request = Request::new("DELETE", record::PATH).query(query);
        let answer = all.bob.send(&request).unwrap();
        assert_eq!(answer.status, 200, "{request}: {}", answer.text());
        all.assert_silent(&request, &answer);
        assert_eq!(record::names(&all.alice), [alices.as_str()], "{request}");
    }
    assert!(
        !record::names(&all.admin).contains(&bobs),
        "his own is gone"
    );
    let token = &record::tokens(&all.alices[0])[0];
    let minted = all.alice.without_credential().with_token(token);
    assert_eq!(record::names(&minted), [alices], "and her token works");
}

#[test]
fn a_watch_is_silent_about_others() {
    let all = Fixture::new();
    for representation in REPRESENTATIONS {
        let list = all.bob.get(record::PATH).unwrap().json().unwrap();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap();
        let query = format!("watch=true&resourceVersion={version}&timeoutSeconds=20");
        let request = Request::get(record::PATH)
            .accept(representation)
            .query(&query);
        let mut watch = all.bob.open(&request).unwrap();
        if watch.status != 200 {
            assert_eq!(watch.status, 406, "{representation}");
            continue;
        }
        let hers = make(&all.alice, record::PATH, MARK);
        let path = record::at(&record::name(&hers));
        let change = json!({ "metadata": { "labels": { "cattle.io/user-id": "bob" } } });
        let change =
            Request::new("PATCH", &path).body("application/merge-patch+json", change.to_string());
        assert_eq!(all.alice.send(&change).unwrap().status, 200);
        assert_eq!(
            all.alice
                .send(&Request::new("DELETE", &path))
                .unwrap()
                .status,
            200
        );
        let his = record::name(&make(&all.bob, record::PATH, "bobs-own"));
        let first = watch.next_line().unwrap().unwrap();
        assert!(first.contains(&his), "{representation}: {first}");
        let path = record::at(&his);
        assert_eq!(
            all.bob.send(&Request::new("DELETE", &path)).unwrap().status,
            200
        );
    }
    assert!(all.server.log().unwrap().contains("serving"));
}

fn make(client: &Client, collection: &str, mark: &str) -> Value {
    let kind = if collection == TOKENS {
        "Token"
    } else {
        "Kubeconfig"
    };
    let object = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": kind,
        "metadata": { "labels": { "mark": mark }, "annotations": { "mark": mark } },
        "spec": { "description": mark },
    });
    let answer = client.post(collection, &object).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json().unwrap()
}

/// A function from the path of an object and its name to a request about it.
type Question = Box<dyn Fn(&str, &str) -> Request>;

/// Returns requests with every verb on one object, with data that only its owner could know.
fn about(theirs: &Value) -> Vec<Question> {
    let metadata = |field: &str| theirs["metadata"][field].clone();
    let (uid, version) = (metadata("uid"), metadata("resourceVersion"));
    let mut questions: Vec<Question> = Vec::new();
    // All but the last, which is for lists.
    for &representation in &REPRESENTATIONS[..5] {
        questions.push(Box::new(move |path, _| {
            Request::get(path).accept(representation)
        }));
    }
    for dry_run in ["", "dryRun=All"] {
        for uid in [
            json!(null),
            json!("00000000-0000-0000-0000-000000000000"),
            uid.clone(),
        ] {
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions",
                "preconditions": { "uid": uid },
            });
            questions.push(Box::new(move |path, _| {
                Request::new("DELETE", path).query(dry_run).json(&options)
            }));
        }
        for version in [json!("1"), version.clone()] {
            let theirs = theirs.clone();
            questions.push(Box::new(move |path, name| {
                let mut object = theirs.clone();
                object["metadata"]["name"] = json!(name);
                object["metadata"]["resourceVersion"] = version.clone();
                Request::new("PUT", path).query(dry_run).json(&object)
            }));
        }
        for kind in ["merge-patch+json", "strategic-merge-patch+json"] {
            let patch = json!({ "metadata": { "resourceVersion": version } }).to_string();
            let kind = format!("application/{kind}");
            questions.push(Box::new(move |path, _| {
                Request::new("PATCH", path)
                    .query(dry_run)
                    .body(&kind, patch.clone())
            }));
        }
        let test = json!([{ "op": "test", "path": "/metadata/uid", "value": uid }]).to_string();
        questions.push(Box::new(move |path, _| {
            Request::new("PATCH", path)
                .query(dry_run)
                .body("application/json-patch+json", test.clone())
        }));
    }
    questions
}

/// Returns the answer without the name and the headers that change from request to request.
fn without_date(mut answer: Answer, name: &str) -> Answer {
    answer
        .headers
        .retain(|(header, _)| !matches!(header.as_str(), "date" | "audit-id"));
    answer.body = answer.text().replace(name, "NAME").into_bytes();
    answer
}
