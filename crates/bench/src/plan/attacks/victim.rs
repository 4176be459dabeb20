//! A server under attack, with the data that attackers and honest users need.

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

/// Number of honest users.
const USERS: usize = 8;

/// Number of connections of each honest user.
const CLIENTS_OF_USER: usize = 4;

/// Number of permanent objects of each honest user.
const OWN: usize = 5;

/// Number of initial objects of the attacker.
const OF_ATTACKER: usize = 300;

/// Size of the text in an object, in bytes, such that a list of the attacker's objects is larger
/// than socket buffers.
pub(super) const TEXT: usize = 4000;

/// Number of tokens with a forged signature.
const FORGED: usize = 200;

/// A server under attack.
pub(super) struct Victim {
    pub(super) meter: Meter,
    /// The CA certificates of the server, PEM.
    pub(super) roots: String,
    /// The server, as the user that attacks.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) identity: Identity,
    /// The collection that the attacker creates in.
    pub(super) collection: String,
    /// The object that the attacker creates.
    pub(super) object: Value,
    /// The path of an object of the attacker.
    pub(super) item: String,
    pub(super) honest: Vec<Client>,
    /// Tokens with invalid signatures.
    pub(super) forged: Vec<String>,
    /// The bearer token for TokenReviews, if the attacker's certificate is not sufficient.
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

/// Returns the names of the honest users.
pub(super) fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|number| format!("honest-{number}"))
}

/// Returns the clients of one honest user, and creates the user's permanent objects.
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

/// Creates the initial objects of the attacker, and returns the path of one.
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

/// Returns the token with other signatures.
pub(super) fn forge(token: &str) -> anyhow::Result<Vec<String>> {
    let (signed, signature) = token.rsplit_once('.').context("a token without parts")?;
    ensure!(signature.len() > 20, "the signature is too short");
    let forged = (0..FORGED).map(|number| {
        let (_, rest) = signature.split_at(4);
        format!("{signed}.{number:04}{rest}")
    });
    Ok(forged.collect())
}

impl Victim {
    /// Returns an attack by an authenticated user.
    pub(super) fn by_user(&self, connections: usize, technique: Technique) -> Attack {
        let identity = Some(self.identity.clone());
        self.attack(identity, connections, technique)
    }

    /// Returns an attack by an anonymous client.
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
