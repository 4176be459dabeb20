//! A document that unauthenticated clients may read, mounted outside the API groups.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method, Response};
use machinery::status::{Reason, Status};
use tower::service_fn;

use crate::document::Document;
use crate::mount::{MountedRequest, MountedService};
use crate::respond;

/// A document that is created for each request, and its maximum cache age.
#[derive(Clone)]
pub struct PublicDocument {
    /// The media type.
    pub media_type: &'static str,
    /// The time that caches may reuse their copy, in seconds.
    pub max_age_secs: u32,
    /// The function that creates the current content.
    pub content: Arc<dyn Fn() -> Result<Bytes, Status> + Send + Sync>,
}

impl PublicDocument {
    /// Returns the document as a service for [`crate::Builder::mount`]. It answers GET and HEAD,
    /// with an entity tag for revalidation, and 405 for any other method.
    pub fn service(self) -> MountedService {
        MountedService::new(service_fn(move |mounted: MountedRequest| {
            let request = mounted.request;
            let response = self.answer(request.method(), request.headers());
            async move { Ok::<_, Infallible>(response) }
        }))
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let text = "the server does not allow this method on the requested resource";
            let mut response = respond::status(Status::failure(Reason::MethodNotAllowed, text));
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        match (self.content)() {
            Ok(content) => self.tagged(&Document::new(content), headers),
            Err(status) => respond::status(status),
        }
    }

    fn tagged(&self, document: &Document, headers: &HeaderMap) -> Response<Body> {
        let mut response = document.response(self.media_type, headers);
        let age = format!("public, max-age={}", self.max_age_secs);
        if let Ok(age) = HeaderValue::from_str(&age) {
            response.headers_mut().insert(CACHE_CONTROL, age);
        }
        response
    }
}
