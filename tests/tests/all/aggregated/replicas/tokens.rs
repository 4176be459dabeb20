//! The time until tokens are accepted, and rejected again, at replicas other than the one that was
//! asked.

use std::thread;
use std::time::{Duration, Instant};

use e2e::Host;
use e2e::http::{Client, Request, expect};
use serde_json::{Value, json};

use super::REPLICAS;
use super::history::History;
use crate::record;

/// The description of all records created here.
const DESCRIPTION: &str = "door";

/// Number of tokens. Each is tried at every replica: at least a hundred attempts in all.
const TOKENS: usize = 34;

/// Number of revocations.
const REVOCATIONS: usize = 10;

/// Maximum time for which a revoked token may be valid anywhere. The aim is one second, and the
/// observed time is printed; a machine that runs other tests and builds needs more.
const LIMIT: Duration = Duration::from_secs(10);

/// Mints at one replica and checks at all that no token is rejected.
pub(super) fn spread(host: &Host) -> String {
    let doors = Doors::new(host);
    for round in 0..TOKENS {
        let created = doors.mint(round % REPLICAS);
        let token = &record::tokens(&created)[0];
        let statuses = (0..REPLICAS).map(|replica| doors.status(replica, token));
        let statuses: Vec<u16> = statuses.collect();
        assert_eq!(statuses, [200; REPLICAS], "round {round}");
        doors.delete(round % REPLICAS, &created);
    }
    format!("{} tokens counted at once everywhere", TOKENS * REPLICAS)
}

/// Revokes at one replica, and measures the time until all reject the token.
pub(super) fn revoke(host: &Host) -> String {
    let doors = Doors::new(host);
    let mut longest = Duration::ZERO;
    for round in 0..REVOCATIONS {
        let created = doors.mint(round % REPLICAS);
        let token = &record::tokens(&created)[0];
        for replica in 0..REPLICAS {
            assert_eq!(doors.status(replica, token), 200, "round {round}");
        }
        doors.delete(round % REPLICAS, &created);
        let deleted = Instant::now();
        let took = thread::scope(|scope| {
            let until_refused = |replica| {
                let doors = &doors;
                scope.spawn(move || doors.until_refused(replica, token, deleted))
            };
            let waiting = [0, 1, 2].map(until_refused);
            waiting.map(|waiting| waiting.join().unwrap())
        });
        for took in took {
            assert!(took <= LIMIT, "round {round}: refused after {took:?}");
            longest = longest.max(took);
        }
    }
    format!("{REVOCATIONS} revoked tokens were refused everywhere after {longest:?} at most")
}

/// Returns one client for each replica's gateway port, with a token that is not revoked.
pub(super) fn readers(host: &Host, history: &History) -> Vec<Client> {
    let doors = Doors::new(host);
    history.send(DESCRIPTION);
    let token = record::tokens(&doors.mint(0))[0].clone();
    doors
        .gateways
        .iter()
        .map(|it| it.with_token(&token))
        .collect()
}

/// Both ports of every replica.
struct Doors {
    aggregation: Vec<Client>,
    gateways: Vec<Client>,
}

impl Doors {
    fn new(host: &Host) -> Self {
        let at = |port| host.client_at(port, "alice").unwrap();
        let replicas = || host.replicas.iter();
        Self {
            aggregation: replicas().map(|it| at(it.secure_port())).collect(),
            gateways: replicas()
                .map(|it| at(it.gateway_port()).without_credential())
                .collect(),
        }
    }

    fn mint(&self, replica: usize) -> Value {
        record::create(
            &self.aggregation[replica],
            json!({ "description": DESCRIPTION }),
        )
    }

    fn delete(&self, replica: usize, created: &Value) {
        let request = Request::new("DELETE", &record::at(&record::name(created)));
        expect(self.aggregation[replica].send(&request).unwrap(), 200).unwrap();
    }

    fn status(&self, replica: usize, token: &str) -> u16 {
        let client = self.gateways[replica].with_token(token);
        client.get(record::PATH).unwrap().status
    }

    fn until_refused(&self, replica: usize, token: &str, since: Instant) -> Duration {
        loop {
            let status = self.status(replica, token);
            let took = since.elapsed();
            match status {
                401 => return took,
                200 if took <= LIMIT => {}
                other => panic!("{other} after {took:?}"),
            }
        }
    }
}
