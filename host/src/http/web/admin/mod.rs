//! What administrators see of their organisation (R13).

mod tokens;

use axum::Router;

use super::Web;

pub(super) fn routes() -> Router<Web> {
    tokens::routes()
}
