//! The style sheet, the script and the icon, built in. Their names hold a part of their digest, so that a browser keeps
//! them for as long as they are the same, and no longer.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::release::hex;

const STYLE: &str = include_str!("../../../web/style.css");
const SCRIPT: &str = include_str!("../../../web/app.js");
const ICON: &str = include_str!("../../../web/icon.svg");

pub(super) static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("style", STYLE, "css"));
pub(super) static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("app", SCRIPT, "js"));
pub(super) static ICON_PATH: LazyLock<String> = LazyLock::new(|| path("icon", ICON, "svg"));

fn path(name: &str, content: &str, extension: &str) -> String {
    let digest = hex(&Sha256::digest(content));
    let short = digest.get(..12).unwrap_or_default();
    format!("/ui/assets/{name}-{short}.{extension}")
}

pub(super) fn routes() -> Router {
    Router::new()
        .route(&STYLE_PATH, get(|| serve("text/css; charset=utf-8", STYLE)))
        .route(
            &SCRIPT_PATH,
            get(|| serve("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(&ICON_PATH, get(|| serve("image/svg+xml", ICON)))
        .route("/favicon.ico", get(|| serve("image/svg+xml", ICON)))
        .route(
            "/ui/assets/{*other}",
            get(|_: HeaderMap| async { StatusCode::NOT_FOUND }),
        )
}

async fn serve(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (headers, content).into_response()
}
