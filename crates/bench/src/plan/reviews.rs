//! TokenReviews as a cluster sends them: of tokens never seen before, and of tokens seen recently.

use anyhow::ensure;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Bench, requests};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::load::{Load, Stop};
use crate::options::Group;
use crate::report::Row;
use crate::{progress, request, targets};

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Number of concurrent reviews.
const CLIENTS: usize = 32;

impl Bench<'_> {
    /// Measures reviews of as many tokens as there are records. The cluster must be registered.
    pub(super) async fn reviews(&self) -> anyhow::Result<Vec<Row>> {
        if !self.options.wants(Group::Review) {
            return Ok(Vec::new());
        }
        let count = self.options.records();
        progress::say(&format!("minting {count} tokens"));
        let tokens = self.mint(count).await?;
        let caller = self.webhook_token()?;
        let endpoint = self.server.stranger()?;
        let review = |token: &String| review(&endpoint, &caller, token);
        let load = Load {
            requests: requests(tokens.iter().map(review)),
            endpoint: endpoint.clone(),
            clients: CLIENTS,
        };
        progress::say("TokenReview");
        // Each client begins at an offset of its own, so that nearly all tokens are seen once.
        let cold = load.run(Stop::Count(count), self.server.meter()).await?;
        check(&endpoint, &load.requests[0]).await?;
        let limit = self.limit("POST", "/hello", CLIENTS);
        let [warm, limit] = self.compare(&load, &limit).await?;
        let name = |what: &str| format!("TokenReview, {what}, {CLIENTS} at once");
        Ok(vec![
            Row::rate(name("cold"), &cold.summary())
                .with_limit(limit.rate)
                .with_targets(targets::review_cold()),
            Row::rate(name("warm"), &warm)
                .with_limit(limit.rate)
                .with_targets(targets::review_warm()),
        ])
    }
}

fn review(endpoint: &Endpoint, caller: &str, token: &str) -> Bytes {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    });
    let request = request::post(endpoint, TOKEN_REVIEWS, &review.to_string());
    request::with_token(&request, caller)
}

/// Checks that a token is accepted: a rejected one is answered with a success status, too.
async fn check(endpoint: &Endpoint, request: &Bytes) -> anyhow::Result<()> {
    let answer = Connection::open(endpoint).await?.fetch(request).await?;
    let review: Value = serde_json::from_slice(&answer)?;
    ensure!(
        review["status"]["authenticated"] == true,
        "a token is not valid: {review}"
    );
    Ok(())
}
