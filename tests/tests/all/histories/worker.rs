//! A client that makes one call after the other and records the answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2e::http::{Answer, Connected, Request, encode};
use history::{Action, Call, History, List, Outcome, Page};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::kind::version;
use super::round::Shared;
use super::stores::pass;
use super::tally::Tally;
use crate::record;

/// Number in a hundred from which on a turn is a read.
const READS: u32 = 62;

/// Number of objects that clients choose from at a time.
const SIZE: usize = 6;

/// The pause after a request that had no effect.
const PAUSE: Duration = Duration::from_millis(20);

/// Time limit for a page, or for the last write.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of objects on a page.
const PAGE: usize = 3;

/// The names that clients choose from: all names, or the newest that the server generated.
pub(super) struct Ring {
    chosen: bool,
    names: Mutex<VecDeque<String>>,
}

impl Ring {
    /// Creates a ring of these names, or, if empty, of the names that the server generates.
    pub(super) fn of(names: Vec<String>) -> Self {
        Self {
            chosen: !names.is_empty(),
            names: Mutex::new(names.into()),
        }
    }

    fn choose(&self, chance: &mut StdRng) -> Option<String> {
        let names = self.names.lock().unwrap();
        let count = names.len();
        (count > 0).then(|| names[chance.random_range(0..count)].clone())
    }

    /// Adds a name, and returns the one that it replaces.
    fn push(&self, name: &str) -> Option<String> {
        let mut names = self.names.lock().unwrap();
        if !self.chosen {
            names.push_back(name.to_owned());
        }
        (names.len() > SIZE).then(|| names.pop_front()).flatten()
    }
}

/// The role of a client. A client at one process continues to write while another process waits for
/// its store, and readers then encounter a replica that lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Makes all calls, at any process.
    Anywhere,
    /// Makes all calls, at this process.
    At(usize),
    /// Reads, at any process.
    Reader,
}

/// A client that works until the round is over.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    number: usize,
    role: Role,
    chance: StdRng,
    history: History,
    tally: Tally,
    /// Objects as last seen by this client.
    known: BTreeMap<String, Value>,
    values: u64,
}

/// The last write, with the attempts before it.
pub(super) struct End {
    pub(super) calls: Vec<Call>,
    pub(super) version: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared, number: usize, seed: u64) -> Self {
        Self {
            shared,
            number,
            role: match number {
                0..2 => Role::At(number % shared.clients.len()),
                2..5 => Role::Reader,
                _ => Role::Anywhere,
            },
            chance: StdRng::seed_from_u64(seed),
            history: History::default(),
            tally: Tally::default(),
            known: BTreeMap::new(),
            values: 0,
        }
    }

    pub(super) fn run(mut self) -> (History, Tally) {
        while !self.shared.over.load(Ordering::SeqCst) {
            let first = if self.role == Role::Reader { READS } else { 0 };
            let turn = self.chance.random_range(first..100);
            match self.shared.ring.choose(&mut self.chance) {
                Some(name) => self.turn(turn, &name),
                None if self.role == Role::Reader => pass(PAUSE),
                None => self.create(None),
            }
        }
        (self.history, self.tally)
    }

    /// Creates an object after all other writers have ended. Retries until it is acknowledged.
    pub(super) fn end(mut self) -> End {
        let began = Instant::now();
        loop {
            let name = self
                .shared
                .ring
                .chosen
                .then(|| format!("{}end", self.shared.prefix));
            let value = self.value();
            let request = self.shared.kind.create(name.as_deref(), &value);
            self.call(name.as_deref(), Action::Create(value), &request);
            let last = self.history.calls.last().map(|call| &call.outcome);
            if let Some(Outcome::State(state)) = last {
                return End {
                    version: state.version,
                    calls: self.history.calls,
                };
            }
            assert!(began.elapsed() < PATIENCE, "the last write: {}", self.tally);
            pass(PAUSE);
        }
    }

    fn turn(&mut self, turn: u32, name: &str) {
        match turn {
            0..15 => self.create(self.shared.ring.chosen.then_some(name)),
            15..38 => self.replace(name),
            38..50 => self.patch(name),
            50..58 => self.delete(name, None),
            58..62 => self.delete_as_known(name),
            READS..86 => self.get(name),
            86..95 => self.list(None),
            _ => self.list(Some(PAGE)),
        }
    }

    fn create(&mut self, name: Option<&str>) {
        let value = self.value();
        let request = self.shared.kind.create(name, &value);
        let given = self.call(name, Action::Create(value), &request);
        if let Some(replaced) = given.and_then(|name| self.shared.ring.push(&name)) {
            self.delete(&replaced, None);
        }
    }

    fn replace(&mut self, name: &str) {
        let Some(read) = self.known.get(name).cloned() else {
            return self.get(name);
        };
        let value = self.value();
        let request = self.shared.kind.replace(&read, &value);
        let expected = Some(version(&read));
        self.call(Some(name), Action::Update { value, expected }, &request);
    }

    fn patch(&mut self, name: &str) {
        let value = self.value();
        let request = self.shared.kind.patch(name, &value);
        let expected = None;
        self.call(Some(name), Action::Update { value, expected }, &request);
    }

    fn delete_as_known(&mut self, name: &str) {
        let known = self.known.get(name).map(version);
        self.delete(name, known);
    }

    fn delete(&mut self, name: &str, expected: Option<u64>) {
        let mut request = Request::new("DELETE", &self.shared.kind.at(name));
        if let Some(version) = expected {
            let preconditions = json!({ "resourceVersion": version.to_string() });
            request = request.json(&json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions,
            }));
        }
        self.call(Some(name), Action::Delete { expected }, &request);
    }

    fn get(&mut self, name: &str) {
        let request = Request::get(&self.shared.kind.at(name));
        self.call(Some(name), Action::Get, &request);
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("{}{}-{}", self.shared.prefix, self.number, self.values)
    }

    /// Makes a call and records its result. Returns the name of the object in the answer.
    fn call(&mut self, name: Option<&str>, action: Action, request: &Request) -> Option<String> {
        let connected = self.connected()?;
        let invoked = self.shared.now();
        let answer = connected.send(request);
        let returned = self.shared.now();
        let object = answer.as_ref().ok().and_then(|answer| answer.json().ok());
        let outcome = self.outcome(&action, &answer)?;
        let shown = matches!(outcome, Outcome::State(_))
            .then_some(())
            .and(object);
        let given = shown.as_ref().map(record::name);
        if let (Some(name), Some(object)) = (&given, shown) {
            self.known.insert(name.clone(), object);
        }
        self.history.calls.push(Call {
            client: self.number,
            invoked,
            returned,
            name: given.clone().or(name.map(str::to_owned)),
            action,
            outcome,
        });
        given
    }

    /// Returns a connection to a random process. It is opened before the time of the call begins,
    /// so that the call is short and a replica that lags behind another one is detected.
    fn connected(&mut self) -> Option<Connected<'a>> {
        let client = match self.role {
            Role::At(process) => &self.shared.clients[process],
            Role::Anywhere | Role::Reader => self.shared.client(&mut self.chance),
        };
        let connected = client.connected();
        if connected.is_err() {
            self.tally.unsent += 1;
            pass(PAUSE);
        }
        connected.ok()
    }

    /// Converts an answer. Returns `None` if the call certainly had no effect and shows nothing.
    fn outcome(&mut self, action: &Action, answer: &anyhow::Result<Answer>) -> Option<Outcome> {
        let reads = *action == Action::Get;
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) => return (!reads).then_some(Outcome::Unknown),
        };
        let body = answer.json().unwrap_or_default();
        let named = body["details"]["name"].is_string();
        match (answer.status, body["reason"].as_str()) {
            (200 | 201, _) if body["kind"] == "Status" => Some(Outcome::Deleted(None)),
            (200 | 201, _) if matches!(action, Action::Delete { .. }) => {
                Some(Outcome::Deleted(Some(version(&body))))
            }
            (200 | 201, _) => Some(Outcome::State(self.shared.kind.state(&body))),
            (404, _) if named => Some(Outcome::NotFound),
            (409, Some("AlreadyExists")) => Some(Outcome::AlreadyExists),
            (409, Some("Conflict")) => Some(Outcome::Conflict),
            (500.., _) => {
                self.tally.failed(answer.status, &answer.text());
                (!reads).then_some(Outcome::Unknown)
            }
            // Not authorized, or not served yet.
            (401 | 403 | 404 | 429, _) => {
                self.tally.failed(answer.status, &answer.text());
                pass(PAUSE);
                None
            }
            _ => panic!("{action:?}: {} {}", answer.status, answer.text()),
        }
    }

    fn list(&mut self, limit: Option<usize>) {
        let limit = limit.map_or_else(String::new, |limit| format!("limit={limit}"));
        let Some(connected) = self.connected() else {
            return;
        };
        let invoked = self.shared.now();
        let Some(first) = self.page(connected, &limit) else {
            return;
        };
        let returned = self.shared.now();
        let mut pages = vec![self.shown(&first)];
        let mut token = first["metadata"]["continue"].clone();
        while let Some(next) = token.as_str().filter(|token| !token.is_empty()) {
            let query = format!("{limit}&continue={}", encode(next));
            let began = Instant::now();
            let page = loop {
                if began.elapsed() > PATIENCE || self.shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let connected = self.connected();
                match connected.and_then(|connected| self.page(connected, &query)) {
                    Some(page) if page["code"] == 410 => {
                        self.tally.expired += 1;
                        return;
                    }
                    Some(page) => break page,
                    None => pass(PAUSE),
                }
            };
            pages.push(self.shown(&page));
            token = page["metadata"]["continue"].clone();
        }
        self.history.lists.push(List {
            client: self.number,
            invoked,
            returned,
            pages,
        });
    }

    /// Returns a page, or the 410 for an expired version.
    fn page(&mut self, connected: Connected<'_>, query: &str) -> Option<Value> {
        let request = Request::get(self.shared.kind.path()).query(query);
        match connected.send(&request) {
            Ok(answer) if matches!(answer.status, 200 | 410) => Some(answer.json().unwrap()),
            Ok(answer) => {
                self.tally.failed(answer.status, &answer.text());
                None
            }
            Err(_) => None,
        }
    }

    fn shown(&mut self, page: &Value) -> Page {
        let mut items = BTreeMap::new();
        for object in page["items"].as_array().unwrap() {
            let state = self.shared.kind.state(object);
            if state.value.starts_with(&self.shared.prefix) {
                items.insert(record::name(object), state);
            }
        }
        Page {
            version: version(page),
            items,
        }
    }
}
