//! The policy that decides for the tenant, what was active before, and what a staged release would change.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::{DAY, Duration, HOUR, Id, MINUTE, Parameters, Timestamp};

use super::super::Web;
use super::super::form::{Form, Nothing};
use super::super::person::Admin;
use super::super::render::{Frame, Problem, page, see_other};
use super::super::strings::text_with;
use super::begin;
use crate::release::hex;
use crate::service::{Activated, Error, Found, Patrol, ReleaseRow};

const POLICY: &str = "/ui/admin/policy";
/// Tokens or owners that are listed of each kind of change.
const LISTED: usize = 50;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(POLICY, get(show))
        .route("/ui/admin/policy/{digest}", get(candidate).post(rehearse))
}

/// A duration, in the greatest unit that it is a whole number of.
fn span(duration: Duration) -> String {
    let (key, count) = match duration {
        whole if whole.is_multiple_of(DAY) => ("time-days", whole / DAY),
        whole if whole.is_multiple_of(HOUR) => ("time-hours", whole / HOUR),
        other => ("time-minutes", other / MINUTE),
    };
    text_with(key, &[("count", &count.to_string())])
}

/// The limits, by what the catalogue calls each.
fn limits(rules: &Parameters) -> Vec<(&'static str, String)> {
    vec![
        ("policy-idle-after", span(rules.idle_after)),
        ("policy-tokens-per-owner", rules.tokens_per_owner.to_string()),
        ("policy-max-lifetime", span(rules.max_lifetime)),
        ("policy-max-overlap", span(rules.max_overlap)),
        ("policy-name-length", rules.name_max_length.to_string()),
        ("policy-session-lifetime", span(rules.session_lifetime)),
        ("policy-session-idle", span(rules.session_idle)),
        ("policy-retention", span(rules.retention)),
    ]
}

/// A release, as a line of a list.
struct Line {
    release: ReleaseRow,
    digest: String,
    at: Option<Timestamp>,
    proven: bool,
}

impl Line {
    fn of(activated: Activated) -> Self {
        Self {
            digest: hex(&activated.release.digest),
            release: activated.release,
            at: activated.at,
            proven: activated.proven,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/policy.html")]
struct PolicyPage {
    frame: Frame,
    name: String,
    version: String,
    number: Option<u32>,
    own: bool,
    digest: String,
    size: usize,
    limits: Vec<(&'static str, String)>,
    imports: Vec<String>,
    history: Vec<Line>,
    staged: Vec<Line>,
}

async fn show(State(web): State<Web>, admin: Admin) -> Result<Response, Problem> {
    let tenant = admin.tenant();
    let (info, history, staged) = web
        .blocking(move |patrol| {
            let info = patrol.policy_info_of(Some(tenant))?;
            let history = patrol.activation_history(info.own.then_some(tenant))?;
            Ok((info, history, candidates(patrol, Some(tenant))?))
        })
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    let staged = staged.into_iter().map(|release| Line {
        digest: hex(&release.digest),
        at: Some(release.staged),
        proven: false,
        release,
    });
    Ok(page(&PolicyPage {
        frame: admin.0.frame("policy-title", "policy"),
        limits: limits(&info.description.parameters),
        name: info.description.name,
        version: info.description.version,
        number: info.release.map(|release| release.number),
        own: info.own,
        digest: hex(&info.digest),
        size: info.size,
        imports: info.imports,
        history: history.into_iter().map(Line::of).collect(),
        staged: staged.collect(),
    }))
}

/// The releases that are staged and active neither for this tenant nor for everybody. What is active for another tenant
/// is that tenant's own.
fn candidates(patrol: &Patrol, tenant: Option<Id>) -> Result<Vec<ReleaseRow>, Error> {
    let running = patrol.running_for_tenants();
    let mut active: Vec<_> = running.iter().map(|(_, release)| release.digest).collect();
    active.extend(patrol.running_release().map(|release| release.digest));
    let mut past = patrol.activations(None)?;
    past.extend(patrol.activations(tenant)?);
    let mut rows = patrol.releases()?;
    rows.retain(|row| {
        !active.contains(&row.digest) && !past.iter().any(|release| release.digest == row.digest)
    });
    Ok(rows)
}

/// What would change in one way.
struct Change {
    asked: String,
    was: String,
    would: String,
    calls: u64,
    tokens: u64,
    owners: u64,
    list: Vec<ChangeOf>,
    more: usize,
}

struct ChangeOf {
    token: Option<(String, String)>,
    owner: Option<String>,
    last_used: Option<Timestamp>,
    calls: u64,
}

struct Rehearsed {
    at: Timestamp,
    span: Option<(Timestamp, Timestamp)>,
    calls: u64,
    unchanged: u64,
    changed: u64,
    faults: u64,
    changes: Vec<Change>,
    no_journal: bool,
    failed: bool,
}

#[derive(Template)]
#[template(path = "admin/rehearsal.html")]
struct CandidatePage {
    frame: Frame,
    release: ReleaseRow,
    digest: String,
    is_busy: bool,
    rehearsed: Option<Rehearsed>,
}

/// The candidate with this digest.
async fn find(web: &Web, admin: &Admin, digest: String) -> Result<ReleaseRow, Problem> {
    let tenant = admin.tenant();
    let known = web
        .blocking(move |patrol| candidates(patrol, Some(tenant)))
        .await
        .map_err(|error| Problem::from(error).of(&admin.0))?;
    let mut known = known.into_iter();
    known
        .find(|row| hex(&row.digest) == digest)
        .ok_or_else(|| Problem::not_found().of(&admin.0))
}

async fn candidate(
    State(web): State<Web>,
    admin: Admin,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let release = find(&web, &admin, digest).await?;
    let patrol = web.patrol();
    let rehearsed = patrol.preview(admin.tenant(), release.digest).map(|last| {
        let mut shown = Rehearsed {
            at: last.at,
            span: None,
            calls: 0,
            unchanged: 0,
            changed: 0,
            faults: 0,
            changes: Vec::new(),
            no_journal: last.value.found == Found::NoJournal,
            failed: last.value.found == Found::Failed,
        };
        if let Found::Report { report, span } = &last.value.found {
            shown.span = *span;
            let totals = &report.totals;
            (shown.calls, shown.unchanged) = (totals.calls, totals.unchanged);
            (shown.changed, shown.faults) = (totals.changed, totals.faults);
            shown.changes = report.changes.iter().map(change).collect();
        }
        shown
    });
    Ok(page(&CandidatePage {
        frame: admin.0.frame("rehearsal-title", "policy"),
        digest: hex(&release.digest),
        release,
        is_busy: patrol.is_rehearsing(),
        rehearsed,
    }))
}

fn change(changed: &crate::service::Changed) -> Change {
    let list = changed.list.iter().take(LISTED).map(|one| ChangeOf {
        token: one.subject.token.map(|id| {
            let id = id.to_string();
            (one.token_name.clone().unwrap_or_else(|| id.clone()), id)
        }),
        owner: one.owner_name.clone(),
        last_used: one.last_used,
        calls: one.calls,
    });
    Change {
        asked: changed.change.asked.to_string(),
        was: changed.change.was.to_string(),
        would: changed.change.would.to_string(),
        calls: changed.calls,
        tokens: changed.tokens,
        owners: changed.owners,
        list: list.collect(),
        more: changed.list.len().saturating_sub(LISTED),
    }
}

async fn rehearse(
    State(web): State<Web>,
    admin: Admin,
    Path(digest): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Problem> {
    let release = find(&web, &admin, digest).await?;
    let (tenant, digest) = (admin.tenant(), release.digest);
    begin(&web, move |patrol| patrol.rehearse_for(tenant, digest)).await;
    Ok(see_other(&format!("{POLICY}/{}", hex(&digest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_greatest_whole_unit() {
        assert_eq!(span(15 * DAY), "15 days");
        assert_eq!(span(DAY + HOUR), "25 hours");
        assert_eq!(span(90 * MINUTE), "90 minutes");
    }
}
