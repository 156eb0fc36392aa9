//! Patrol in the process that it protects: a [`tower`] layer around any HTTP or gRPC service.
//!
//! It asks the same question as the doors for gateways ([`Gate::check`]), with no network between. A request that may
//! go on reaches the service
//!
//! * with the [identity headers](crate::gate::IDENTITY_HEADERS), and with no others of these names that the client
//!   sent, however it spelt them;
//! * without the headers that held, or could hold, its credential;
//! * with an [`Identity`] in its extensions, unless its route lets in anyone and it is nobody
//!   known;
//! * with an `x-request-id`, by which Patrol's log and audit trail know it.
//!
//! All others are answered here: with the gate's JSON, or, where the request is a gRPC call, with a gRPC status. It
//! fails closed: no verdict is a 503.
//!
//! The layer belongs outside of everything that rewrites the path, such as `axum::Router::nest`: routes are chosen by
//! the path that the client asked for. A verdict takes some 20 µs on the thread that calls, and waits for no other.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::SocketAddr;
//! use std::sync::Arc;
//!
//! use axum::extract::ConnectInfo;
//! use axum::routing::get;
//! use axum::{Extension, Router};
//! use patrol::{Gate, Identity, Meters, Patrol, PatrolLayer, Settings};
//!
//! let patrol = Arc::new(Patrol::open(Settings::new("/var/lib/patrol".as_ref()))?);
//! let gate = Arc::new(Gate::new(patrol, Meters::default())?);
//! let layer = PatrolLayer::new(gate).with_address(|extensions| {
//!     extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
//! });
//! let app: Router = Router::new()
//!     .route("/", get(|Extension(caller): Extension<Identity>| async move { caller.user_name().to_owned() }))
//!     .layer(layer);
//! # Ok(())
//! # }
//! ```
//!
//! Last uses and refusals are written once a moment by [`Housekeeping`](crate::service::Housekeeping), which the
//! program starts beside its service.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::gate::{self, Admission, Denial, Door, Gate, REQUEST_ID, is_grpc, request_id};
use crate::service::{Identity, RequestId};

type Source = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// Puts Patrol before a service; see the [module](self).
#[derive(Clone)]
pub struct PatrolLayer {
    gate: Arc<Gate>,
    address: Source,
}

impl PatrolLayer {
    /// A layer that does not know where requests come from.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            address: Arc::new(|_| None),
        }
    }

    /// Says where a request came from, by what the server put into its extensions: for limits and the audit trail.
    /// What the client wrote into a header is not to be trusted, unless a proxy sets it for every request.
    #[must_use]
    pub fn with_address(
        mut self,
        address: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.address = Arc::new(address);
        self
    }

    /// Decides, and makes of the request what the service is to see.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Denial> {
        let admission = self.gate.check(&gate::Request {
            door: Door::Layer,
            method: request.method().as_str(),
            // A CONNECT has an authority and no path: there is no route for it.
            uri: request
                .uri()
                .path_and_query()
                .map_or("", |target| target.as_str()),
            headers: request.headers(),
            address: (self.address)(request.extensions()),
        })?;
        if names_identity(request.headers(), &admission) {
            let message = "the Connection header must not name a header that says who calls";
            return Err(Denial::bad_request("E_400_CONNECTION", message));
        }
        strip(request.headers_mut(), &admission);
        let extensions = request.extensions_mut();
        match admission.identity() {
            Some(identity) => drop(extensions.insert(identity.clone())),
            None => drop(extensions.remove::<Identity>()),
        }
        request.headers_mut().extend(admission.headers);
        Ok(())
    }
}

impl<S> Layer<S> for PatrolLayer {
    type Service = PatrolService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PatrolService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Whether the client asks the next proxy to drop an identity header (RFC 9110, 7.6.1), which would then be gone at
/// the service behind it.
fn names_identity(headers: &HeaderMap, admission: &Admission) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let names = value.as_bytes().split(|byte| *byte == b',');
        let mut names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        names.any(|name| admission.headers.contains_key(name))
    })
}

/// Removes credentials, and what the client says of who it is: also with `_` for `-`, which many programs take for
/// the same.
fn strip(headers: &mut HeaderMap, admission: &Admission) {
    let unwanted = |name: &str| {
        let credential = |header: &HeaderName| header.as_str() == name;
        admission.headers.contains_key(name) || admission.credential_headers.iter().any(credential)
    };
    let found: Vec<_> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()) || unwanted(&name.as_str().replace('_', "-")))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

/// A service behind Patrol; see [`PatrolLayer`].
#[derive(Clone)]
pub struct PatrolService<S> {
    inner: S,
    layer: PatrolLayer,
}

impl<S, B, R> Service<Request<B>> for PatrolService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<GuardedBody<R>>;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = request_id(request.headers()).unwrap_or_else(|| {
            let id = RequestId::fresh();
            request.headers_mut().insert(REQUEST_ID, value(&id));
            id
        });
        let grpc = is_grpc(request.headers());
        let state = match self.layer.admit(&mut request) {
            Ok(()) => State::Admitted {
                future: self.inner.call(request),
            },
            Err(denial) => State::Denied {
                answer: Some(if grpc {
                    denial.to_grpc_response()
                } else {
                    denial.to_response()
                }),
            },
        };
        GuardedFuture { state, id }
    }
}

fn value(id: &RequestId) -> HeaderValue {
    // Letters, digits and a few signs: always a value.
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
}

pin_project! {
    /// The answer of the service, or the denial.
    pub struct GuardedFuture<F> {
        #[pin]
        state: State<F>,
        id: RequestId,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        Admitted { #[pin] future: F },
        Denied { answer: Option<Response<String>> },
    }
}

impl<F, R, E> Future for GuardedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<GuardedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            Projected::Admitted { future } => ready!(future.poll(context))?.map(GuardedBody::of_service),
            Projected::Denied { answer } => {
                // Asked again after its answer, which nobody may do, it is no yes either.
                let again = || Denial::undecided().to_response();
                answer.take().unwrap_or_else(again).map(GuardedBody::of_denial)
            }
        };
        response
            .headers_mut()
            .entry(REQUEST_ID)
            .or_insert_with(|| value(this.id));
        Poll::Ready(Ok(response))
    }
}

pin_project! {
    /// The body of the service's answer, or of a denial.
    pub struct GuardedBody<R> {
        #[pin]
        part: Part<R>,
    }
}

pin_project! {
    #[project = ProjectedPart]
    enum Part<R> {
        Service { #[pin] body: R },
        Denial { text: Option<Bytes> },
    }
}

impl<R> GuardedBody<R> {
    const fn of_service(body: R) -> Self {
        Self {
            part: Part::Service { body },
        }
    }

    fn of_denial(text: String) -> Self {
        let text = Some(Bytes::from(text)).filter(|text| !text.is_empty());
        Self {
            part: Part::Denial { text },
        }
    }
}

impl<R: Body<Data = Bytes>> Body for GuardedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().part.project() {
            ProjectedPart::Service { body } => body.poll_frame(context),
            ProjectedPart::Denial { text } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.part {
            Part::Service { body } => body.is_end_stream(),
            Part::Denial { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.part {
            Part::Service { body } => body.size_hint(),
            Part::Denial { text } => {
                let length = text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
