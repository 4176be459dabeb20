//! A server under attack, with what attackers and honest users need to know of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::attack::{Attack, Technique};
use crate::connection::Connection;
use crate::endpoint::{Endpoint, Identity};
use crate::honest::Client;
use crate::process::Meter;
use crate::request::{self, JSON};

/// Users who are honest.
const USERS: usize = 8;

/// Connections of each of them.
const CLIENTS_OF_USER: usize = 4;

/// Objects of each of them that are always there.
const OWN: usize = 5;

/// Objects of the attacker that are there from the beginning.
const OF_ATTACKER: usize = 300;

/// Bytes of text in an object, so that a list of the attacker's is more than sockets buffer.
pub(super) const TEXT: usize = 4000;

/// Tokens that are nearly right.
const FORGED: usize = 200;

/// A server under attack.
pub(super) struct Victim {
    pub(super) meter: Meter,
    /// The certificates that it is trusted by, PEM.
    pub(super) roots: String,
    /// The server as the user that attacks.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) identity: Identity,
    /// The collection that the attacker creates in.
    pub(super) collection: String,
    /// The object that the attacker creates.
    pub(super) object: Value,
    /// An object of the attacker.
    pub(super) item: String,
    pub(super) honest: Vec<Client>,
    /// Tokens whose signatures are wrong.
    pub(super) forged: Vec<String>,
    /// The token of the caller that asks about tokens, if the attacker's certificate is not enough.
    pub(super) reviewer: Option<String>,
    pub(super) gateway: Option<Gateway>,
}

/// A cluster behind the server.
pub(super) struct Gateway {
    /// A request of the attacker for a large answer of the cluster.
    pub(super) large: String,
    /// Honest users of the cluster.
    pub(super) honest: Vec<Client>,
}

/// The names of the honest users.
pub(super) fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|number| format!("honest-{number}"))
}

/// The clients of one honest user, who has a few objects already.
pub(super) async fn clients(
    endpoint: &Arc<Endpoint>,
    collection: &str,
    object: &Value,
) -> anyhow::Result<Vec<Client>> {
    let names = fill(endpoint, collection, object, OWN).await?;
    let name = names.first().context("no object")?;
    let reads = [
        request::get(endpoint, &format!("{collection}/{name}"), JSON),
        request::get(endpoint, collection, JSON),
    ];
    let client = Client {
        endpoint: Arc::clone(endpoint),
        collection: collection.to_owned(),
        object: object.to_string(),
        reads: Arc::new(reads),
    };
    Ok(vec![client; CLIENTS_OF_USER])
}

/// Creates what the attacker has from the beginning, and returns the path of one.
pub(super) async fn fill_attacker(
    endpoint: &Arc<Endpoint>,
    collection: &str,
    object: &Value,
) -> anyhow::Result<String> {
    let names = fill(endpoint, collection, object, OF_ATTACKER).await?;
    let name = names.first().context("no object")?;
    Ok(format!("{collection}/{name}"))
}

async fn fill(
    endpoint: &Endpoint,
    collection: &str,
    object: &Value,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let create = request::post(endpoint, collection, &object.to_string());
    let mut connection = Connection::open(endpoint).await?;
    let mut names = Vec::new();
    for _ in 0..count {
        let created = connection.fetch(&create).await?;
        let created: Value = serde_json::from_slice(&created)?;
        let name = created["metadata"]["name"].as_str();
        names.push(name.context("an object without a name")?.to_owned());
    }
    Ok(names)
}

/// The token with other signatures.
pub(super) fn forge(token: &str) -> anyhow::Result<Vec<String>> {
    let (signed, signature) = token.rsplit_once('.').context("a token without parts")?;
    ensure!(signature.len() > 20, "a short signature");
    let forged = (0..FORGED).map(|number| {
        let (_, rest) = signature.split_at(4);
        format!("{signed}.{number:04}{rest}")
    });
    Ok(forged.collect())
}

impl Victim {
    /// An attack by an authenticated user.
    pub(super) fn by_user(&self, connections: usize, technique: Technique) -> Attack {
        let identity = Some(self.identity.clone());
        self.attack(identity, connections, technique)
    }

    /// An attack by an anonymous client.
    pub(super) fn by_nobody(&self, connections: usize, technique: Technique) -> Attack {
        self.attack(None, connections, technique)
    }

    fn attack(
        &self,
        identity: Option<Identity>,
        connections: usize,
        technique: Technique,
    ) -> Attack {
        Attack {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.endpoint.port())),
            roots: self.roots.clone(),
            identity,
            connections,
            technique,
        }
    }
}
