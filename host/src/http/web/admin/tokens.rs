//! The review of all personal access tokens of the organisation: filtered, in order, a page at a time.

mod export;
mod filter;
mod revoke;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use patrol_policy::types::{Cause, Id, Timestamp};

use super::super::Web;
use super::super::form::Query;
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page_with};
use super::super::strings::text;
use crate::service::ReviewedToken;
use filter::{Active, Choice, Column, Filter};

/// Where the list is.
const LIST: &str = "/ui/admin/tokens";

/// Rows of a page. A selection of all of them still fits into an address.
const PAGE: u32 = 50;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(LIST, get(list))
        .route("/ui/admin/tokens.csv", get(export::export))
        .route("/ui/admin/tokens/revoke", get(revoke::show).post(revoke::revoke))
        .route(
            "/ui/admin/tokens/revoke-all",
            get(revoke::show_all).post(revoke::revoke_all),
        )
}

/// A token as the list shows it.
struct Row {
    id: Id,
    name: String,
    owner: String,
    owner_link: String,
    lives: bool,
    cause: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
    last_used_from: Option<String>,
    ends: Timestamp,
}

impl Row {
    fn of(token: ReviewedToken, now: Timestamp) -> Self {
        let ReviewedToken { row, outlook } = token;
        let token = &row.state.token;
        let owner = Filter {
            owner: token.owner.to_string(),
            ..Filter::default()
        };
        Self {
            id: token.id,
            owner: row.owner_name,
            owner_link: owner.link(),
            lives: now < outlook.ends.at,
            cause: text(cause_key(outlook.ends.cause)),
            created: token.created,
            last_used: token.last_used,
            last_used_from: row.last_used_from,
            ends: outlook.ends.at,
            name: row.name,
        }
    }
}

/// Why a token ended, or will.
const fn cause_key(cause: Cause) -> &'static str {
    match cause {
        Cause::ExpirationDate => "review-cause-expiration-date",
        Cause::Idle => "review-cause-idle",
        Cause::Revoked => "review-cause-revoked",
        Cause::AuthMethodChanged => "review-cause-auth-method-changed",
        Cause::OwnerDeleted => "review-cause-owner-deleted",
        _ => "review-cause-other",
    }
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    frame: Frame,
    filter: Filter,
    states: Vec<Choice>,
    uses: Vec<Choice>,
    columns: Vec<Column>,
    active: Vec<Active>,
    rows: Vec<Row>,
    /// The user whose tokens alone are shown.
    owner: Option<(Id, String)>,
    error: Option<String>,
    /// The address of the first page, where this is another one.
    first: Option<String>,
    next: Option<String>,
    stopped: bool,
    csv: String,
    back: String,
}

async fn list(
    State(web): State<Web>,
    admin: Admin,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let (tenant, zone) = (admin.tenant(), admin.0.zone.clone());
    let asked = filter.clone();
    let found = web
        .blocking(move |patrol| {
            Ok(match asked.query(patrol, tenant, &zone)? {
                Ok(mut query) => {
                    query.limit = PAGE;
                    let page = patrol.review_page(&query)?;
                    let owner = match query.owner {
                        Some(id) => Some(patrol.user_of(tenant, &id.to_string())?),
                        None => None,
                    };
                    Ok((page, owner))
                }
                Err(problem) => Err(problem),
            })
        })
        .await;
    let found = match found {
        Ok(found) => found,
        Err(error) => return Ok(Problem::from(error).of(&admin.0).into_response()),
    };
    let now = admin.0.zone.now();
    let mut template = ReviewPage {
        frame: admin.0.frame("review-title", "review"),
        states: filter.states(),
        uses: filter.uses(),
        columns: filter.columns(),
        active: Vec::new(),
        rows: Vec::new(),
        owner: None,
        error: None,
        first: (!filter.after.is_empty()).then(|| filter.link()),
        next: None,
        stopped: false,
        csv: filter.address("/ui/admin/tokens.csv", &[]),
        back: filter.pairs(),
        filter,
    };
    let status = match found {
        Ok((page, owner)) => {
            template.next = page.next.map(|next| template.filter.next(tenant, &next));
            template.stopped = page.stopped;
            template.rows = page.rows.into_iter().map(|token| Row::of(token, now)).collect();
            template.owner = owner.map(|user| (user.id, user.name));
            StatusCode::OK
        }
        Err(problem) => {
            template.error = Some(text(problem));
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    let owner = template.owner.as_ref().map(|(_, name)| name.as_str());
    template.active = template.filter.active(owner);
    Ok(page_with(status, &template))
}
