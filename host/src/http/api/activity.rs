//! The activity log: Patrol's own audit trail, an hour a file.
//!
//! A file holds the events of the tenant as a whole and those of the site, one JSON object a line. It is read by a
//! link that holds for a few minutes, so that the download can be left to a program that has no session.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use patrol_policy::types::{DAY, HOUR, Id, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::super::check::only;
use super::body::{Form, Json};
use super::document::{
    ActivityParams, AsVisitor, FileParams, ForAdministrators, InTenant, SiteParams, WithBody,
};
use super::failure::Failure;
use super::link::Target;
use super::query::Query;
use super::{Api, Segments, Visitor};
use crate::http::listing::Listing;
use crate::service::SiteRow;
use crate::time::{parse_rfc3339, rfc3339};

/// The longest range of time that is listed at once.
const LONGEST: u64 = 31 * DAY;
/// Files for which links are given at once.
const FILES: usize = 100;
/// Events that are read from the store at once.
const BATCH: u32 = 500;

/// A page of the activity log's files.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Files {
    /// The files in the order of time: one for each hour in which something happened and that is over.
    files: Vec<File>,
    /// What to ask for the next page with; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    page_token: Option<String>,
}

/// A file of the activity log.
#[derive(Serialize, ToSchema)]
pub(super) struct File {
    /// Its name, by which a link to it is asked for: the hour, UTC.
    #[schema(example = "2027-01-31T17Z.jsonl")]
    path: String,
    /// Its size in bytes.
    size: u64,
}

/// Files that are wanted.
#[derive(Deserialize, ToSchema)]
pub(super) struct Wanted {
    /// Their paths, as they were listed.
    #[schema(min_items = 1, max_items = 100)]
    files: Vec<String>,
}

impl Form for Wanted {
    const EXAMPLE: &'static str = "{\"files\": [\"2027-01-31T17Z.jsonl\"]}";
}

/// Where files can be read.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedFiles {
    /// The files in the order in which they were asked for.
    files: Vec<LinkedFile>,
}

/// Where a file can be read.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedFile {
    /// Its path, as it was asked for.
    path: String,
    /// Where a GET, without a session, has its content: one JSON object a line. It holds for five minutes.
    #[schema(format = "uri")]
    url: String,
}

/// List the files of a range of time. For administrators.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/sites/{siteId}/activitylog", operation_id = "listActivityLog",
    tag = "activity log", security(("session" = [])), params(SiteParams, ActivityParams),
    responses((status = 200, description = "A page of files.", body = Files), AsVisitor, InTenant, ForAdministrators)
)]
pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
    query: Query,
) -> Result<axum::Json<Files>, Failure> {
    let (tenant, site) = place(&api, &visitor, &segments)?;
    let (start, end) = (query.instant("startTime")?, query.instant("endTime")?);
    if start >= end {
        return Err(Failure::bad_request("startTime must lie before endTime"));
    }
    if end.saturating_sub(start) > LONGEST {
        return Err(Failure::bad_request(
            "startTime and endTime may be at most 31 days apart",
        ));
    }
    let size = query.size("pageSize")?;
    let range = [tenant.as_u128(), site.as_u128(), start.into(), end.into()];
    let listing = Listing::new("activity log", &range);
    let from = match query.position(&listing)? {
        Some(next) => next.lo,
        None => start.checked_div(HOUR).unwrap_or(0),
    };
    let until = end.div_ceil(HOUR);
    let listed = api
        .blocking(move |patrol| {
            let site = patrol.site_of(tenant, site)?;
            patrol.activity_hours(&site, from, until, size)
        })
        .await?;
    let files = listed.hours.iter().map(|hour| File {
        path: name(hour.hour),
        size: hour.bytes,
    });
    Ok(axum::Json(Files {
        files: files.collect(),
        page_token: listed.next.map(|lo| listing.token(Id { hi: 0, lo })),
    }))
}

/// Ask for links to files. For administrators.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/sites/{siteId}/activitylog", operation_id = "linkActivityLog",
    tag = "activity log", security(("session" = [])), params(SiteParams), request_body = Wanted,
    responses(
        (status = 200, description = "The links.", body = LinkedFiles), AsVisitor, InTenant, ForAdministrators,
        WithBody,
    )
)]
pub(super) async fn links(
    State(api): State<Api>,
    visitor: Visitor,
    segments: Segments,
    headers: HeaderMap,
    Json(Wanted { files }): Json<Wanted>,
) -> Result<axum::Json<LinkedFiles>, Failure> {
    let (tenant, site) = place(&api, &visitor, &segments)?;
    if !(1..=FILES).contains(&files.len()) {
        return Err(Failure::bad_request("ask for 1 to 100 files at once"));
    }
    let hours: Option<Vec<_>> = files.iter().map(|path| hour(path)).collect();
    let hours = hours.ok_or_else(no_such_file)?;
    let base = base(&api, &headers)?;
    let caller = visitor.caller();
    let (files, hours) = api
        .blocking(move |patrol| {
            let site = patrol.site_of(tenant, site)?;
            for hour in &hours {
                if patrol.activity_hour(&site, *hour)?.is_none() {
                    return Ok(None);
                }
            }
            patrol.note_activity_download(&caller, &site, &files)?;
            Ok(Some((files, hours)))
        })
        .await?
        .ok_or_else(no_such_file)?;
    let now = api.patrol().now();
    let linked: Option<Vec<_>> = files
        .into_iter()
        .zip(hours)
        .map(|(path, hour)| {
            let query = api.shared.links.sign(Target { tenant, site, hour }, now)?;
            let url = format!("{base}/api/v1/tenants/{tenant}/sites/{site}/activitylog/{path}?{query}");
            Some(LinkedFile { path, url })
        })
        .collect();
    let files = linked.ok_or_else(Failure::busy)?;
    Ok(axum::Json(LinkedFiles { files }))
}

/// Read a file by a link, without a session.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/sites/{siteId}/activitylog/{file}", operation_id = "readActivityLog",
    tag = "activity log", params(FileParams),
    responses(
        (status = 200, description = "The events, one JSON object a line.", body = String,
            content_type = "application/jsonl"),
        (status = 403, description = "The link does not hold, or no longer.", body = super::document::Problem),
        InTenant, super::document::Undecided,
    )
)]
pub(super) async fn download(
    State(api): State<Api>,
    segments: Segments,
    query: Query,
) -> Result<Response, Failure> {
    let target = |()| {
        Some(Target {
            tenant: segments.id("tenantId")?,
            site: segments.id("siteId")?,
            hour: hour(segments.get("file")?)?,
        })
    };
    let expires = query.get("expires")?.unwrap_or_default();
    let signature = query.get("signature")?.unwrap_or_default();
    let now = api.patrol().now();
    let target = target(()).filter(|target| api.shared.links.holds(*target, &expires, &signature, now));
    let Some(Target { tenant, site, hour }) = target else {
        return Err(Failure::forbidden(
            "this link does not hold, or no longer: ask for another",
        ));
    };
    let (site, size) = api
        .blocking(move |patrol| {
            let site = patrol.site_of(tenant, site)?;
            let size = patrol.activity_hour(&site, hour)?;
            Ok(size.map(|size| (site, size)))
        })
        .await?
        .ok_or_else(no_such_file)?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(send(api, site, hour, sender));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/jsonl"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    Ok((headers, Body::new(Lines(receiver))).into_response())
}

/// Who may see the activity log of what.
fn place(api: &Api, visitor: &Visitor, segments: &Segments) -> Result<(Id, Id), Failure> {
    let tenant = visitor.tenant(segments)?;
    visitor.must_administer(api)?;
    let site = segments
        .id("siteId")
        .ok_or(Failure::not_found("there is no such site"))?;
    Ok((tenant, site))
}

fn no_such_file() -> Failure {
    Failure::not_found("there is no such file: name them as they are listed")
}

/// The name of an hour's file.
fn name(hour: u64) -> String {
    let instant = rfc3339(hour.saturating_mul(HOUR));
    // The hour is what comes before the minutes.
    let hour = instant.split(':').next().unwrap_or_default();
    format!("{hour}Z.jsonl")
}

/// The hour of a file, where the name is one that is listed.
fn hour(path: &str) -> Option<u64> {
    let text = path.strip_suffix("Z.jsonl")?;
    let at: Timestamp = parse_rfc3339(&format!("{text}:00:00Z")).ok()?;
    let hour = at.checked_div(HOUR)?;
    (name(hour) == path).then_some(hour)
}

/// The address by which this API is reached, as configured or as the client wrote it.
fn base(api: &Api, headers: &HeaderMap) -> Result<String, Failure> {
    if let Some(url) = &api.app.config().api.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let host = only(headers, "host")
        .filter(|host| host.bytes().all(fits))
        .ok_or(Failure::bad_request("the header Host must name this server"))?;
    let https = headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto == "https");
    let scheme = if https { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Reads an hour's events, a batch at a time, as fast as they are taken: a slow client holds neither a thread nor a
/// view of the store. If it fails on the way, the download ends short of its length.
async fn send(api: Api, site: SiteRow, hour: u64, to: mpsc::Sender<Bytes>) {
    let mut after = 0;
    loop {
        let of = site.clone();
        let read = api
            .app
            .blocking(move |patrol| patrol.activity_events(&of, hour, after, BATCH))
            .await;
        let events = match read {
            Ok(events) => events,
            Err(error) => return tracing::error!(%error, "a download of the activity log was cut off"),
        };
        let Some((last, _)) = events.last() else { return };
        after = *last;
        let mut lines =
            String::with_capacity(events.iter().map(|(_, body)| body.len().saturating_add(1)).sum());
        for (_, body) in &events {
            lines.push_str(body);
            lines.push('\n');
        }
        if to.send(lines.into()).await.is_err() {
            return; // The client went away.
        }
    }
}

/// A body that comes in parts.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|lines| lines.map(|lines| Ok(Frame::data(lines))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_hour_and_only_so() {
        assert_eq!(name(0), "1970-01-01T00Z.jsonl");
        assert_eq!(name(500_000), "2027-01-15T08Z.jsonl");
        assert_eq!(hour("2027-01-15T08Z.jsonl"), Some(500_000));
        for wrong in [
            "",
            "Z.jsonl",
            "2027-01-15T08Z",
            "2027-01-15T24Z.jsonl",
            "2027-01-15 08Z.jsonl",
            "2027-01-15t08Z.jsonl",
            "2027-02-30T08Z.jsonl",
            "1969-12-31T23Z.jsonl",
            "../2027-01-15T08Z.jsonl",
            "2027-01-15T08:00:00Z[UTC].jsonl",
        ] {
            assert_eq!(hour(wrong), None, "{wrong}");
        }
    }
}
