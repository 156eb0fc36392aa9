//! The administrators' review of their own tenant (R13). What is of another tenant is not there: 404.

mod audit;
mod overview;
mod policy;
mod tokens;
mod users;
mod ways_in;

use std::fmt::Write as _;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use patrol_policy::types::Id;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Web;
use super::render::Problem;
use crate::service::{Error, Patrol};

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .merge(audit::routes())
        .merge(overview::routes())
        .merge(policy::routes())
        .merge(tokens::routes())
        .merge(users::routes())
        .merge(ways_in::routes())
}

/// How long a page waits for work that may take longer, before it says that it is under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// An identifier in a page's address.
fn identifier(text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// What whoever filled in a form can mend: the form is shown again, with this. The rest is a page of its own.
fn mistake(error: Error) -> Result<(StatusCode, String), Problem> {
    match error {
        Error::Invalid(message) => Ok((StatusCode::UNPROCESSABLE_ENTITY, message)),
        Error::Exists { .. } => Ok((StatusCode::CONFLICT, error.to_string())),
        other => Err(other.into()),
    }
}

/// A page's address with those of these parts of a query that are not empty.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    let said = query.iter().filter(|(_, value)| !value.is_empty());
    for (number, (name, value)) in said.enumerate() {
        let sign = if number == 0 { '?' } else { '&' };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        // Writing to a string does not fail.
        let _ = write!(address, "{sign}{name}={value}");
    }
    address
}

/// Begins work that nobody has to wait for, and waits a little.
async fn begin(web: &Web, work: impl FnOnce(&Patrol) -> Result<(), Error> + Send + 'static) {
    let web = web.clone();
    let begun = tokio::spawn(async move {
        if let Err(error) = web.blocking(work).await {
            tracing::error!(%error, "what a page asked for was not found out");
        }
    });
    // Whoever asks next is told what was found out.
    let _ = tokio::time::timeout(PATIENCE, begun).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_what_was_asked_for_and_nothing_else() {
        assert_eq!(address("/ui", &[("a", "")]), "/ui");
        assert_eq!(
            address("/ui", &[("a", ""), ("b", "x&y=\"<"), ("c", "1")]),
            "/ui?b=x%26y%3D%22%3C&c=1"
        );
    }
}
