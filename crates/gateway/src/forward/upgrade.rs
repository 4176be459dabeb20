//! Requests that upgrade the connection to a tunnel.

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::answer_headers;
use crate::caller::InFlight;
use crate::redirect::Origin;
use crate::relay::Relayed;
use crate::status::{respond, unacceptable, with_connection_close};
use crate::tunnel::{self, Protocol};
use crate::upstream::{Upstream, UpstreamError};

/// A requested upgrade.
pub(super) struct Upgrade<'a> {
    pub(super) protocol: Protocol,
    /// The client's side of the tunnel.
    pub(super) client: OnUpgrade,
    pub(super) upstream: &'a Upstream,
    pub(super) origin: &'a Origin<'a>,
}

impl Upgrade<'_> {
    /// Sends the request to the cluster on a connection of its own.
    pub(super) async fn begin(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        self.protocol.set_headers(request.headers_mut());
        self.upstream.begin_upgrade(request).await
    }

    /// Returns the response to the client, and starts the tunnel if the cluster agreed.
    pub(super) fn finish(self, answer: Response<Incoming>, in_flight: InFlight) -> Response<Body> {
        match self.protocol.is_agreed(&answer) {
            true => self.start_tunnel(answer, in_flight),
            false => self.refuse(answer, in_flight),
        }
    }

    /// Returns the cluster's answer as an ordinary one. This includes a 101 to another protocol,
    /// after which no HTTP answer would follow.
    fn refuse(self, answer: Response<Incoming>, in_flight: InFlight) -> Response<Body> {
        let code = answer.status();
        let mut headers = answer.headers().clone();
        if let Err(why) = answer_headers::clean(code, &mut headers, self.origin) {
            return with_connection_close(respond(&unacceptable(self.origin.cluster, why)));
        }
        let ended = in_flight.session.ended().clone();
        let trailers = answer_headers::clean_trailers;
        let body = Relayed::answer(answer.into_body(), in_flight, ended, trailers);
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        with_connection_close(response)
    }

    fn start_tunnel(self, answer: Response<Incoming>, in_flight: InFlight) -> Response<Body> {
        let code = answer.status();
        let mut headers = answer.headers().clone();
        answer_headers::clean_upgrade(&mut headers);
        self.protocol.set_headers(&mut headers);
        let ends = [in_flight.session.ended().clone(), self.upstream.is_cut()];
        let client = self.client;
        tokio::spawn(async move {
            tunnel::join(client, answer, ends).await;
            drop(in_flight);
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        response
    }
}
