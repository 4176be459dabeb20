//! One HTTP/2 connection to an etcd member, shared by concurrent calls.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::{Stream, future::poll_fn};
use http::{Uri, uri::PathAndQuery};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use prost::Message;
use tonic::{Streaming, body::Body, client::Grpc, metadata::MetadataValue};
use tonic_prost::ProstCodec;

use super::{
    failure::Failure,
    wire::{
        CompactionRequest, CompactionResponse, RangeRequest, RangeResponse, TxnRequest,
        TxnResponse, WatchRequest, WatchResponse,
    },
};

/// Metadata that makes a member without a leader reject calls at once and end watches.
const REQUIRE_LEADER: (&str, &str) = ("hasleader", "true");

/// A connection. Clones share it. It ends when all clones are dropped, or when the member closes
/// it.
#[derive(Clone)]
pub(super) struct Link {
    connection: Connection,
    origin: Uri,
    answers: Arc<AtomicU64>,
}

impl Link {
    /// Creates a link. `origin` is the scheme and the authority of the member.
    pub(super) fn new(connection: SendRequest<Body>, origin: Uri) -> Self {
        Self {
            connection: Connection(connection),
            origin,
            answers: Arc::default(),
        }
    }

    /// Returns the number of answered calls, on all clones together.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        self.unary("/etcdserverpb.KV/Range", request).await
    }

    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Failure> {
        self.unary("/etcdserverpb.KV/Txn", request).await
    }

    pub(super) async fn compact(
        &self,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, Failure> {
        self.unary("/etcdserverpb.KV/Compact", request).await
    }

    /// Opens a stream of watches. Returns once the member has answered the first request.
    pub(super) async fn watch(
        &self,
        requests: impl Stream<Item = WatchRequest> + Send + 'static,
    ) -> Result<Streaming<WatchResponse>, Failure> {
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let mut call = self.call().await?;
        let answer = call
            .streaming(with_leader(requests), path, ProstCodec::default())
            .await?;
        Ok(answer.into_inner())
    }

    async fn unary<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::from_static(path);
        let mut call = self.call().await?;
        let answer = call
            .unary(with_leader(request), path, ProstCodec::default())
            .await?;
        self.answers.fetch_add(1, Relaxed);
        Ok(answer.into_inner())
    }

    /// Waits until the connection accepts a request. If the connection has ended, nothing was sent.
    async fn call(&self) -> Result<Grpc<Connection>, Failure> {
        let mut connection = self.connection.clone();
        let ready = poll_fn(|context| connection.0.poll_ready(context)).await;
        ready.map_err(|error| {
            Failure::NotDone(Box::new(tonic::Status::from_error(Box::new(error))))
        })?;
        let call = Grpc::with_origin(connection, self.origin.clone());
        // The default limit is too small for pages of large records.
        Ok(call.max_decoding_message_size(usize::MAX))
    }
}

fn with_leader<T>(message: T) -> tonic::Request<T> {
    let (name, value) = REQUIRE_LEADER;
    let mut request = tonic::Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(name, MetadataValue::from_static(value));
    request
}

/// The connection as a `tower` service, as tonic requires.
#[derive(Clone)]
struct Connection(SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
