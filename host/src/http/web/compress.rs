//! What is sent compressed: pages for whose address alone was asked, and the assets.
//!
//! How much shorter a page gets tells something of what is in it. Whoever may put text of their choice into a page, and
//! sees how long the answers are, could learn what else is there, character by character (BREACH). So nothing is compressed
//! that shows what the request said: neither an answer to a form, which may hold a secret (R1), nor a page with a query.

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::compression::CompressionLayer;

/// Marks an answer that may be compressed.
#[derive(Clone, Copy)]
struct Says;

type Judge = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses what is marked.
pub(super) fn layer() -> CompressionLayer<Judge> {
    CompressionLayer::new().compress_when((|_, _, _, extensions| extensions.get::<Says>().is_some()) as Judge)
}

/// Marks answers by what was asked for.
pub(super) async fn mark(request: Request, next: Next) -> Response {
    let plain = request.method() == Method::GET && request.uri().query().is_none();
    let mut response = next.run(request).await;
    if plain && response.status() == StatusCode::OK {
        response.extensions_mut().insert(Says);
    }
    response
}
