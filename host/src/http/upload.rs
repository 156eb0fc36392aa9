//! Bodies of requests, which must have come in time.
//!
//! A client that sends one byte now and then would hold a connection for as long as it likes, and a gateway may pass
//! bodies on as they come: those who hold all connections that the listener takes would keep the checks out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// From the end of a request's headers to the end of its body, which is small.
pub(super) const BODY_TIME: Duration = Duration::from_secs(10);

/// A body that fails once it is late.
struct Upload {
    body: Incoming,
    late: Pin<Box<Sleep>>,
}

/// The body was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
struct Late;

/// The body of a request whose headers have just been read.
pub(super) fn in_time(body: Incoming) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(Upload {
        body,
        late: Box::pin(sleep(BODY_TIME)),
    })
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // However little comes at a time.
        if self.late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Late.into())));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
