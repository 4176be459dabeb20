//! The checks of a request head before the handler chain.

use std::sync::Arc;

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};

use super::activity::{Activity, UnderWay};
use super::message_head;
use super::metrics::EndReason;
use super::places::{HeldHead, Place, Places};
use crate::guarded_body::GuardedBody;
use crate::health;
use crate::respond;

/// The maximum number of fields in a head. A front proxy sends one field for each group of the
/// user; the size limit of a head would allow even more of them.
pub(super) const MAX_FIELDS: usize = 1000;

/// The memory of a head in addition to its bytes, and of each of its fields, in bytes. An entry of
/// a `HeaderMap` takes about 100 bytes, in vectors with up to twice the needed capacity.
const HEAD_MEMORY: usize = 2048;
const FIELD_MEMORY: usize = 256;

/// The admission of the requests of one connection.
#[derive(Clone)]
pub(super) struct Admission {
    places: Arc<Places>,
    activity: Arc<Activity>,
    is_reserve: bool,
    is_proxy: bool,
}

/// The decision about a request.
pub(super) enum Admitted {
    /// The handler chain handles the request.
    Passed(Hold),
    /// The request is rejected with this response.
    Refused(Response<GuardedBody<Hold>>),
}

/// A request in flight and its head.
#[derive(Debug)]
pub(super) struct Hold {
    under_way: UnderWay,
    /// `None` for front proxies: their heads are not counted, because they carry the groups of all
    /// users.
    _head: Option<HeldHead>,
    is_http2: bool,
    /// True if the connection ends after this request.
    is_last: bool,
}

impl Admission {
    pub(super) fn new(place: &Place, is_proxy: bool) -> Self {
        Self {
            places: Arc::clone(place.places()),
            activity: Arc::clone(place.activity()),
            is_reserve: place.is_reserve(),
            is_proxy,
        }
    }

    /// Counts a request as in flight, and rejects it if it must not be handled.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Admitted {
        let memory = memory_of(request);
        let under_way = self.activity.begin_request(memory);
        let held = self.places.hold_head(memory);
        let is_full = held.is_none() && !self.is_proxy;
        let refusal = self.refusal(request, is_full);
        let is_http2 = request.version() == Version::HTTP_2;
        let hold = Hold {
            under_way,
            _head: held.filter(|_| !self.is_proxy),
            is_http2,
            is_last: self.is_reserve || (refusal.is_some() && !is_http2),
        };
        match refusal {
            None => Admitted::Passed(hold),
            Some(refusal) => Admitted::Refused(hold.until_sent(refusal)),
        }
    }

    fn refusal<B>(&self, request: &Request<B>, is_full: bool) -> Option<Response<Body>> {
        if request.headers().len() > MAX_FIELDS {
            let code = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let text = format!("the request has more than {MAX_FIELDS} header fields");
            return Some(respond::text(code, &text));
        }
        let problem = if self.activity.take_two_lengths() {
            Some(message_head::two_lengths())
        } else {
            message_head::problem(request)
        };
        if let Some(problem) = problem {
            return Some(respond::status(problem));
        }
        if self.is_reserve && !health::is_path(request.uri().path()) {
            self.places.metrics().ended(EndReason::Reserve);
            return Some(respond::too_many_requests(
                "Too many connections, please try again later.",
            ));
        }
        is_full.then(|| {
            respond::too_many_requests(
                "Too many requests with large headers, please try again later.",
            )
        })
    }
}

impl Hold {
    /// Returns the response, whose body counts the request as in flight until it is sent.
    pub(super) fn until_sent(self, mut response: Response<Body>) -> Response<GuardedBody<Hold>> {
        let activity = self.under_way.activity();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            activity.take_over();
        }
        if self.is_last && !self.is_http2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        } else if self.is_last {
            activity.ending.cancel();
        }
        response.map(|body| GuardedBody::new(body, self))
    }
}

fn memory_of<B>(request: &Request<B>) -> usize {
    let headers = request.headers();
    let fields = headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    HEAD_MEMORY + headers.len() * FIELD_MEMORY + bytes + target
}
