//! The list as a file: all pages of it, as CSV (RFC 4180).

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use csv::{Terminator, WriterBuilder};
use tokio::sync::mpsc;

use super::super::super::Web;
use super::super::super::form::Query;
use super::super::super::person::Admin;
use super::super::super::render::Problem;
use super::filter::Filter;
use crate::service::{LARGEST_REVIEW, ReviewQuery, ReviewedToken};
use crate::time::rfc3339;

/// The columns, by the names that scripts know them by.
const COLUMNS: [&str; 13] = [
    "id",
    "name",
    "owner",
    "owner_email",
    "owner_id",
    "audience",
    "state",
    "created",
    "last_used",
    "last_used_from",
    "expires",
    "ends",
    "ends_because",
];

/// A body that comes in parts. Where it breaks off, so does the connection: nobody takes a part for the whole.
struct Parts(mpsc::Receiver<Result<Bytes, Cut>>);

/// The rest could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the list could not be read")]
struct Cut;

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Cut>>> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.map(|part| part.map(hyper::body::Frame::data)))
    }
}

pub(super) async fn export(
    State(web): State<Web>,
    admin: Admin,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let (tenant, zone) = (admin.tenant(), admin.0.zone.clone());
    let asked = Filter {
        // It is the whole that is taken along, from whichever page.
        after: String::new(),
        ..filter
    };
    let query = web
        .blocking(move |patrol| asked.query(patrol, tenant, &zone))
        .await?;
    let Ok(mut query) = query else {
        return Ok(Problem::new(StatusCode::BAD_REQUEST, "problem-query")
            .of(&admin.0)
            .into_response());
    };
    query.limit = LARGEST_REVIEW;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(send(web, query, sender));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"personal-access-tokens.csv\""),
        ),
    ];
    Ok((headers, Body::new(Parts(receiver))).into_response())
}

/// Reads one page after the other, as fast as they are taken: a slow client holds neither a thread nor a view of the store.
async fn send(web: Web, mut query: ReviewQuery, to: mpsc::Sender<Result<Bytes, Cut>>) {
    let mut head = true;
    loop {
        let asked = query.clone();
        let read = web
            .blocking(move |patrol| Ok((patrol.review_page(&asked)?, patrol.now())))
            .await;
        let (page, now) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "an export of tokens was cut off");
                let _ = to.send(Err(Cut)).await;
                return;
            }
        };
        let lines = lines(head, &page.rows, now).map(Bytes::from).map_err(|_| Cut);
        let broken = lines.is_err();
        if to.send(lines).await.is_err() || broken {
            return; // The client went away.
        }
        head = false;
        query.after = page.next;
        if query.after.is_none() {
            return;
        }
    }
}

fn lines(head: bool, rows: &[ReviewedToken], now: u64) -> Result<Vec<u8>, csv::Error> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    if head {
        writer.write_record(COLUMNS)?;
    }
    for ReviewedToken { row, outlook } in rows {
        let token = &row.state.token;
        let state = if now < outlook.ends.at { "live" } else { "ended" };
        writer.write_record([
            &*token.id.to_string(),
            &plain(&row.name),
            &plain(&row.owner_name),
            &plain(row.owner_email.as_deref().unwrap_or_default()),
            &token.owner.to_string(),
            &plain(&row.audience),
            state,
            &rfc3339(token.created),
            &token.last_used.map_or_else(String::new, rfc3339),
            &plain(row.last_used_from.as_deref().unwrap_or_default()),
            &rfc3339(token.expires),
            &rfc3339(outlook.ends.at),
            outlook.ends.cause.as_str(),
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A text that somebody chose, so that no spreadsheet takes it for a formula.
fn plain(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}
