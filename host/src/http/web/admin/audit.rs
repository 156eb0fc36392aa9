//! The tenant's part of the audit trail.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jiff::ToSpan as _;
use jiff::civil::Date;
use patrol_policy::types::{Id, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::super::Web;
use super::super::form::{Form, Nothing, Query};
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page, see_other};
use super::super::zone::Zone;
use super::{address, begin};
use crate::release::hex;
use crate::service::{AuditEntry, AuditQuery, AuditReport, Error, Patrol, UserRef, normalize};

const TRAIL: &str = "/ui/admin/audit";
/// Events on a page.
const PAGE: u32 = 50;
/// How something can have gone; `refused` is all but the first.
const OUTCOMES: [&str; 5] = [
    "success",
    "refused",
    "unauthorized",
    "client_error",
    "internal_error",
];

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(TRAIL, get(list).post(verify))
        .route("/ui/admin/audit/{seq}", get(show))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuditForm {
    #[serde(rename = "type")]
    event_type: String,
    user: String,
    outcome: String,
    from: String,
    until: String,
    before: Option<u64>,
}

impl AuditForm {
    /// The page of what was asked for that begins before this event.
    fn address(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let query = [
            ("type", self.event_type.as_str()),
            ("user", &self.user),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("until", &self.until),
            ("before", &before),
        ];
        address(TRAIL, &query)
    }
}

/// When a day begins for the viewer; `after`: so many days later.
fn day(zone: &Zone, text: &str, after: i64) -> Option<Timestamp> {
    let date: Date = text.trim().parse().ok()?;
    let date = date.checked_add(after.days()).ok()?;
    let begins = date.to_zoned_datetime(zone.zone().clone()).ok()?;
    u64::try_from(begins.timestamp().as_millisecond()).ok()
}

/// One event of the list.
struct Line {
    seq: u64,
    at: Timestamp,
    event_type: String,
    address: String,
    outcome: String,
    ok: bool,
    reason: Option<String>,
    by: Option<String>,
    about: Option<String>,
    from: Option<String>,
}

impl Line {
    fn of(entry: AuditEntry) -> Self {
        let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        let field = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let detail = |name: &str| {
            let value = body.get("details").and_then(|details| details.get(name));
            value.and_then(Value::as_str).map(ToOwned::to_owned)
        };
        let outcome = field("eventOutcome").unwrap_or_default();
        Self {
            seq: entry.seq,
            at: entry.at,
            address: address(TRAIL, &[("type", &entry.event_type)]),
            event_type: entry.event_type,
            ok: outcome == "success",
            outcome,
            reason: field("eventOutcomeReason"),
            by: field("initiatingUserDisplayName").or_else(|| field("initiatingUserRole")),
            about: field("patName").or_else(|| detail("userName")),
            from: field("initiatingUserIpAddress"),
        }
    }
}

/// What is known of the chain.
struct Chain {
    /// Whether it was whole, up to which number, and when that was found out; none: nobody has looked yet.
    checked: Option<(bool, u64, Timestamp)>,
    /// What is wrong where it is not.
    fault: Option<String>,
    is_checking: bool,
}

impl Chain {
    fn of(patrol: &Patrol) -> Self {
        let (last, _) = patrol.chain();
        let mut fault = None;
        let checked = last.map(|last| match &last.value {
            AuditReport::Sound(head) => (true, head.seq, last.at),
            AuditReport::Broken { seq, fault: what } => {
                fault = Some(what.to_string());
                (false, *seq, last.at)
            }
        });
        Self {
            checked,
            fault,
            is_checking: patrol.is_checking_chain(),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct AuditTemplate {
    frame: Frame,
    form: AuditForm,
    /// The outcomes to choose from, and whether each is chosen.
    outcomes: Vec<(&'static str, bool)>,
    no_such_user: bool,
    bad_dates: bool,
    lines: Vec<Line>,
    first: Option<String>,
    next: Option<String>,
    looked_back_to: Option<Timestamp>,
    chain: Chain,
}

/// The user who is meant, by name or identifier, deleted ones by identifier.
fn user_meant(patrol: &Patrol, tenant: Id, text: &str) -> Result<Option<Id>, Error> {
    let user = text.parse().map_or_else(
        |_| UserRef::Name {
            tenant: Some(tenant.to_string()),
            name: normalize(text),
        },
        UserRef::Id,
    );
    match patrol.user(&user) {
        Ok(row) => Ok(Some(row.id).filter(|_| row.tenant == tenant)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(
    State(web): State<Web>,
    admin: Admin,
    Query(form): Query<AuditForm>,
) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let zone = &admin.0.zone;
    let (since, until) = (day(zone, &form.from, 0), day(zone, &form.until, 1));
    let is_bad = |text: &str, read: Option<Timestamp>| !text.trim().is_empty() && read.is_none();
    let bad_dates = is_bad(&form.from, since) || is_bad(&form.until, until);
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut query = AuditQuery {
        event_type: some(&form.event_type),
        outcome: some(&form.outcome),
        since,
        until,
        before: form.before,
        limit: PAGE,
        ..AuditQuery::default()
    };
    let user = some(&form.user);
    // Looked at in the background: the page says what was found last.
    if web.patrol().chain().1 {
        let web = web.clone();
        tokio::spawn(async move { begin(&web, Patrol::check_chain).await });
    }
    let (found, no_such_user) = web
        .blocking(move |patrol| {
            if let Some(user) = user {
                query.user = user_meant(patrol, tenant, &user)?;
                if query.user.is_none() {
                    return Ok((None, true));
                }
            }
            if bad_dates {
                return Ok((None, false));
            }
            Ok((Some(patrol.audit_page(tenant, &query)?), false))
        })
        .await?;
    let found = found.unwrap_or_default();
    Ok(page(&AuditTemplate {
        frame: admin.0.frame("audit-title", "audit"),
        outcomes: OUTCOMES
            .iter()
            .map(|outcome| (*outcome, *outcome == form.outcome))
            .collect(),
        no_such_user,
        bad_dates,
        first: form.before.map(|_| form.address(None)),
        next: found.next.map(|seq| form.address(Some(seq))),
        looked_back_to: found.looked_back_to,
        lines: found.events.into_iter().map(Line::of).collect(),
        chain: Chain::of(web.patrol()),
        form,
    }))
}

/// Verifies the chain now.
async fn verify(State(web): State<Web>, _admin: Admin, Form(Nothing {}): Form<Nothing>) -> Response {
    begin(&web, Patrol::check_chain).await;
    see_other(TRAIL)
}

#[derive(Template)]
#[template(path = "admin/event.html")]
struct EventPage {
    frame: Frame,
    seq: u64,
    at: Timestamp,
    event_type: String,
    fields: Vec<(String, String)>,
    hash: String,
}

/// All fields, those within others under both names.
fn fields(body: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    match serde_json::from_str(body) {
        Ok(Value::Object(all)) => {
            for (name, value) in all {
                match value {
                    Value::Object(inner) => {
                        let named = inner.into_iter();
                        fields.extend(named.map(|(inner, value)| (format!("{name}.{inner}"), plain(value))));
                    }
                    value => fields.push((name, plain(value))),
                }
            }
        }
        // Whoever altered it left something else there: the chain says so.
        _ => fields.push((String::new(), body.to_owned())),
    }
    fields
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

async fn show(State(web): State<Web>, admin: Admin, Path(seq): Path<String>) -> Result<Response, Problem> {
    let of_admin = |problem: Problem| problem.of(&admin.0);
    let seq: u64 = seq.parse().map_err(|_| of_admin(Problem::not_found()))?;
    let tenant = admin.tenant();
    let entry = web
        .blocking(move |patrol| patrol.audit_event(tenant, seq))
        .await
        .map_err(|error| of_admin(error.into()))?;
    Ok(page(&EventPage {
        frame: admin.0.frame("audit-event-title", "audit"),
        seq: entry.seq,
        at: entry.at,
        event_type: entry.event_type,
        fields: fields(&entry.body),
        hash: hex(&entry.hash),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn a_day_is_the_viewers() {
        let mut headers = HeaderMap::new();
        let utc = Zone::of(&headers, 0);
        assert_eq!(day(&utc, "1970-01-02", 0), Some(86_400_000));
        assert_eq!(day(&utc, " 1970-01-02 ", 1), Some(2 * 86_400_000));
        for wrong in ["", "1970-02-30", "yesterday", "1969-01-01"] {
            assert_eq!(day(&utc, wrong, 0), None, "{wrong}");
        }
        headers.insert("cookie", "patrol-zone=Asia%2FTokyo".parse().unwrap());
        let tokyo = Zone::of(&headers, 0);
        assert_eq!(day(&tokyo, "1970-01-02", 0), Some(15 * 3_600_000));
    }

    #[test]
    fn fields_within_others_have_both_names() {
        let all = fields(r#"{"a":"x","details":{"b":["c"],"d":"e"},"n":1}"#);
        let all: Vec<_> = all
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(all, ["a=x", "details.b=[\"c\"]", "details.d=e", "n=1"]);
        assert_eq!(fields("no json"), [(String::new(), "no json".to_owned())]);
    }
}
