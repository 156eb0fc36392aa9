//! `patrol policy list`: the releases that were staged, and who has which.

use serde::Serialize;

use super::failure::Exit;
use super::print::{count, date, hex, plain};
use super::reach::Reached;
use super::{Session, caller_name, who};
use crate::control::{Governing, Status, Verb};
use crate::service::{Ended, Patrol};
use crate::time::rfc3339;

/// One release.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    name: String,
    version: String,
    release: u32,
    staged: String,
    /// Whether it is everybody's active one.
    active: bool,
    /// Whose active one it is: that was activated last, and not rolled back.
    active_for: Vec<Whose>,
    /// For whom it decides.
    runs: Vec<Runs>,
    /// For whom it should decide and does not, since it could not be loaded.
    passed_over: Vec<Passed>,
    /// When it was rolled back last, if it was not activated again.
    rolled_back: Vec<RolledBack>,
}

/// A tenant's name; null: everybody but tenants with a release of their own.
type Whose = Option<String>;

#[derive(Serialize)]
struct Runs {
    tenant: Whose,
    since: Option<String>,
    /// Calls of late and the faults among them, while a server watches whether it is to be rolled back.
    watched: Option<crate::control::Watched>,
}

#[derive(Serialize)]
struct Passed {
    tenant: Whose,
    why: String,
}

#[derive(Serialize)]
struct RolledBack {
    tenant: Whose,
    at: String,
    why: String,
}

pub(super) fn list(session: &mut Session) -> anyhow::Result<Exit> {
    let (patrol, status) = status(session)?;
    let (active, ended) = (active(&patrol)?, ended(&patrol)?);
    let mut list = session
        .out
        .list(["ID", "NAME", "VERSION", "RELEASE", "STAGED", "STATE"])?;
    for row in &patrol.releases()? {
        let id = hex(&row.digest);
        let active_for: Vec<_> = of(&active, &id);
        let listed = Listed {
            active: active_for.contains(&None),
            runs: runs(&status, &id),
            passed_over: passed_over(&status, &id),
            rolled_back: ended
                .iter()
                .filter(|(tenant, ended)| ended.release == id && !active_for.contains(tenant))
                .map(|(tenant, ended)| RolledBack {
                    tenant: tenant.clone(),
                    at: rfc3339(ended.at),
                    why: ended.why.clone(),
                })
                .collect(),
            active_for,
            name: row.name.clone(),
            version: row.version.clone(),
            release: row.number,
            staged: rfc3339(row.staged),
            id,
        };
        list.push(&listed, || {
            [
                listed.id.chars().take(12).collect(),
                plain(&listed.name),
                plain(&listed.version),
                listed.release.to_string(),
                date(row.staged),
                state(&listed),
            ]
        })?;
    }
    list.end("No release was staged: the built-in policy is active.")?;
    // Where it takes a second look to see who has what.
    if !session.out.is_json() && status.governing.len() > 1 {
        session.out.line("")?;
        who::print(session, &status)?;
    }
    Ok(Exit::Done)
}

/// The data directory, and what runs. A server knows better than the data: it may have begun with what could be loaded
/// then.
pub(super) fn status(session: &Session) -> anyhow::Result<(Box<Patrol>, Status)> {
    Ok(match Reached::find(session)? {
        Reached::Here(patrol, lock) => {
            drop(lock);
            let status = Status::from(patrol.governing()?);
            (patrol, status)
        }
        Reached::Server(client) => {
            let status = client.ask(&caller_name(), Verb::Status)?;
            (Box::new(session.open()?), status)
        }
    })
}

/// Whose active release is which.
fn active(patrol: &Patrol) -> anyhow::Result<Vec<(Whose, String)>> {
    let mut active = Vec::new();
    let tenants = patrol.tenants()?;
    let scopes = std::iter::once(None).chain(tenants.into_iter().map(Some));
    for tenant in scopes {
        let activations = patrol.activations(tenant.as_ref().map(|row| row.id))?;
        if let Some(row) = activations.first() {
            active.push((tenant.map(|row| row.name), hex(&row.digest)));
        }
    }
    Ok(active)
}

fn of(active: &[(Whose, String)], id: &str) -> Vec<Whose> {
    let of = active.iter().filter(|(_, release)| release == id);
    of.map(|(tenant, _)| tenant.clone()).collect()
}

/// What was rolled back, with the tenants' names.
fn ended(patrol: &Patrol) -> anyhow::Result<Vec<(Whose, Ended)>> {
    let ended = patrol.rolled_back()?.into_iter().map(|ended| {
        let tenant = ended
            .tenant
            .map(|id| patrol.tenant(&id.to_string()))
            .transpose()?;
        Ok((tenant.map(|row| row.name), ended))
    });
    ended.collect()
}

fn runs(status: &Status, id: &str) -> Vec<Runs> {
    let runs = |governing: &&Governing| governing.release.as_ref().is_some_and(|release| release.id == id);
    let governing = status.governing.iter().filter(runs);
    governing
        .map(|governing| Runs {
            tenant: governing.tenant.clone(),
            since: governing.since.map(rfc3339),
            watched: governing.watched,
        })
        .collect()
}

fn passed_over(status: &Status, id: &str) -> Vec<Passed> {
    let mut all = Vec::new();
    for governing in &status.governing {
        let of_this = governing
            .passed_over
            .iter()
            .filter(|passed| passed.release.id == id);
        all.extend(of_this.map(|passed| Passed {
            tenant: governing.tenant.clone(),
            why: passed.why.clone(),
        }));
    }
    all
}

/// All of it in words.
fn state(listed: &Listed) -> String {
    let named = |tenant: &Whose| {
        let tenant = tenant.as_deref().map(plain);
        tenant.map(|name| format!(" for {name}")).unwrap_or_default()
    };
    let mut words = Vec::new();
    for runs in &listed.runs {
        let active = match listed.active_for.contains(&runs.tenant) {
            true => "active",
            false => "runs instead",
        };
        let since = runs.since.as_deref();
        let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
        let watched = runs.watched.map(|watched| {
            let crate::control::Watched { calls, faults } = watched;
            match calls {
                0 => ", watched".to_owned(),
                _ => format!(
                    ", watched: {} in the last {}",
                    count(faults.into(), "fault"),
                    count(calls.into(), "call")
                ),
            }
        });
        words.push(format!(
            "{active}{}{since}{}",
            named(&runs.tenant),
            watched.unwrap_or_default()
        ));
    }
    for passed in &listed.passed_over {
        words.push(format!(
            "active{}, but does not run: {}",
            named(&passed.tenant),
            plain(&passed.why)
        ));
    }
    for ended in &listed.rolled_back {
        words.push(format!(
            "rolled back{} on {} {}",
            named(&ended.tenant),
            ended.at,
            plain(&ended.why)
        ));
    }
    words.join("; ")
}
