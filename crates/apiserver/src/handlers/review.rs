//! The endpoint of reviews: only POST, and nothing is stored.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use machinery::meta::ObjectKey;
use machinery::schema::Schema;
use machinery::status::Status;

use super::object_body::{self, BodyEncoding, Decoding};
use super::served_verb;
use crate::description::Description;
use crate::endpoints::Endpoint;
use crate::options::{WriteKind, WriteOptions};
use crate::request_body;
use crate::request_context::RequestContext;
use crate::respond::Representation;
use crate::review::Review;
use crate::stored_object;

/// The endpoint of a review kind.
pub(crate) struct ReviewEndpoint<V> {
    review: V,
    schema: Arc<Schema>,
}

impl<V: Review> ReviewEndpoint<V> {
    pub(crate) fn new(review: V, schema: Arc<Schema>) -> Self {
        Self { review, schema }
    }
}

#[async_trait]
impl<V: Review> Endpoint for ReviewEndpoint<V> {
    fn description(&self) -> &Description {
        self.review.description()
    }

    fn enabled(&self) -> bool {
        true
    }

    fn changes_state(&self) -> bool {
        self.review.changes_state()
    }

    fn broken(&self) -> Option<usize> {
        None
    }

    fn stored_bytes(&self, _: ObjectKey<'_>) -> usize {
        0
    }

    async fn handle(
        &self,
        cx: RequestContext,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        served_verb(self.description(), &cx, request.method())?;
        let representation = Representation::of_review(&request, &cx)?;
        let encoding = BodyEncoding::of(request.headers(), self.review.protobuf())?;
        let body = request_body::take(request.into_body()).await?;
        let options = WriteOptions::parse(&cx.query, WriteKind::Create, &cx.user_agent)?;
        let description = self.review.description();
        let decoding = Decoding {
            description,
            schema: &self.schema,
            validation: options.validation,
            cx: &cx,
        };
        let mut question: V::Object = decoding.object(&body, encoding)?;
        if let Some(resource) = &cx.info.resource {
            object_body::settle_namespace(&mut question, description, &resource.namespace)?;
        }
        let answer = match options.dry_run {
            true => self.review.dry_run(&cx, question).await?,
            false => self.review.review(&cx, question).await?,
        };
        let json = stored_object::encode(description, &answer)
            .map_err(|_| Status::internal("the response cannot be encoded as JSON"))?;
        representation.whole(StatusCode::CREATED, json)
    }
}
