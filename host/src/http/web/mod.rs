//! Patrol's pages, for people: their account settings (R14) and the administrators' review (R13).
//!
//! All of them are below `/ui/`, are made on the server, and work without scripts. What a page does it does by the same
//! methods of the service that the command line and the REST API call.
//!
//! * Whoever is here has signed in as a person: no PAT and no session of the API is looked at (R12). The session is in a
//!   cookie that no script reads, that goes to no other host, and that other sites' forms do not bring along.
//! * A form changes something only if it came from a page of this very session: it carries a token that is computed from
//!   the session's secret, and the browser must not say that another site sent it.
//! * Nothing is loaded from anywhere else, and nothing inline is run: the Content-Security-Policy allows neither.
//! * No answer is stored by a cache or a browser, and none that could tell a secret by its length is compressed.

mod admin;
mod assets;
mod chart;
mod compress;
mod form;
mod gateway;
mod guard;
mod history;
mod method;
mod oidc;
mod person;
mod render;
mod second_factor;
mod security;
mod setup;
mod sign_in;
mod strings;
mod tokens;
mod zone;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::App;
use crate::service::{Error, Patrol};

/// A form's largest body.
const BODY_BYTES: usize = 64 * 1024;

/// Where somebody who is signed in begins.
const HOME: &str = "/ui/tokens";

/// What the pages share.
#[derive(Clone)]
struct Web {
    app: App,
    /// Those who are on their way to and from identity providers.
    oidc: Arc<oidc::Oidc>,
}

impl Web {
    fn patrol(&self) -> &Patrol {
        self.app.gate().patrol()
    }

    /// Runs what waits for the store where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Patrol) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.app.blocking(work).await
    }
}

/// All pages.
pub(super) fn router(app: App) -> Router {
    let web = Web {
        app,
        oidc: Arc::default(),
    };
    Router::new()
        .route("/", get(home))
        .route("/ui", get(home))
        .route("/ui/", get(home))
        .merge(method::routes())
        .merge(oidc::routes())
        .merge(setup::routes())
        .merge(second_factor::routes())
        .merge(security::routes())
        .merge(sign_in::routes())
        .merge(tokens::routes())
        .merge(history::routes())
        .merge(admin::routes())
        .route("/ui/{*page}", get(render::no_such_page))
        .method_not_allowed_fallback(render::no_such_method)
        .layer(from_fn_with_state(web.clone(), gateway::admit))
        .layer(from_fn(render::take_back_notice))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(map_response(guard::protect))
        .with_state(web)
        .merge(assets::routes())
        .layer(from_fn(compress::mark))
        .layer(compress::layer())
}

async fn home() -> Response {
    Redirect::to(HOME).into_response()
}
