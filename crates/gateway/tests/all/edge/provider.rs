//! A provider of ID tokens with one key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::world::World;

pub(super) struct IdentityProvider {
    pub(super) issuer: String,
    key: EcdsaKeyPair,
}

impl IdentityProvider {
    /// Starts a provider that serves its discovery document and its key.
    pub(super) async fn start(world: &World) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(x), "y": encode(y)});
        let keys = json!({ "keys": [jwk] }).to_string();
        let server = Cluster::start(world.tls(), move |mut peer| {
            let keys = keys.clone();
            async move {
                while let Some(head) = peer.head().await {
                    let host = head.lines().find_map(|line| line.strip_prefix("host: "));
                    let issuer = format!("https://{}", host.unwrap());
                    let document = match head.starts_with("GET /keys ") {
                        true => keys.clone(),
                        false => json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")})
                            .to_string(),
                    };
                    let length = document.len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    peer.send(&format!("{head}{document}")).await;
                }
            }
        });
        let issuer = format!("https://{}", server.await.address);
        Self { issuer, key }
    }

    /// Returns a token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let segment = |value: &Value| encode(value.to_string().as_bytes());
        let header = json!({"alg": "ES256", "kid": "k"});
        let signed = format!("{}.{}", segment(&header), segment(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.unwrap().as_ref()))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
