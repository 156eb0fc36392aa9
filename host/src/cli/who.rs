//! `patrol policy who`: everybody, and each tenant with a release of its own, with what decides for them.

use serde::Serialize;

use super::failure::Exit;
use super::print::plain;
use super::{Session, releases};
use crate::control::{Governing, PassedOver, Release, Status};
use crate::time::rfc3339;

/// Who runs what.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhoRecord<'a> {
    /// The tenant's name; null: everybody but tenants with a release of their own.
    tenant: Option<&'a str>,
    decides: Decides,
    /// The release that decides; null: the built-in policy.
    release: Option<&'a Release>,
    /// Since when; null for the built-in policy, and for a tenant that has what everybody has.
    since: Option<String>,
    /// Releases that should decide and could not be loaded, the active one first.
    passed_over: &'a [PassedOver],
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Decides {
    /// A release that was activated, for everybody or for the tenant alone.
    Release,
    /// The policy that is built in.
    BuiltIn,
    /// What decides for everybody, since none of the tenant's own can run.
    Everybodys,
}

fn named(release: &Release) -> String {
    let id: String = release.id.chars().take(12).collect();
    let (name, version) = (plain(&release.name), plain(&release.version));
    format!("{name} {version}, release {} ({id})", release.release)
}

impl<'a> WhoRecord<'a> {
    fn of(governing: &'a Governing, everybodys: Option<&'a Release>) -> Self {
        let (decides, release) = match (&governing.release, &governing.tenant) {
            (Some(own), _) => (Decides::Release, Some(own)),
            (None, Some(_)) => (Decides::Everybodys, everybodys),
            (None, None) => (Decides::BuiltIn, None),
        };
        Self {
            tenant: governing.tenant.as_deref(),
            decides,
            release,
            since: governing.since.map(rfc3339),
            passed_over: &governing.passed_over,
        }
    }

    fn cells(&self) -> [String; 4] {
        let policy = self.release.map_or_else(|| "built in".to_owned(), named);
        let policy = match self.decides {
            Decides::Everybodys => format!("as everybody: {policy}"),
            Decides::Release | Decides::BuiltIn => policy,
        };
        let passed = self.passed_over.iter().map(|passed| {
            let why = plain(&passed.why);
            format!("{}, which cannot run: {why}", named(&passed.release))
        });
        [
            self.tenant.map_or_else(|| "everybody".to_owned(), plain),
            policy,
            self.since.clone().unwrap_or_default(),
            passed.collect::<Vec<_>>().join("; "),
        ]
    }
}

pub(super) fn who(session: &mut Session) -> anyhow::Result<Exit> {
    let (_, status) = releases::status(session)?;
    print(session, &status)?;
    Ok(Exit::Done)
}

/// Prints who runs what: everybody first, then the tenants by name.
pub(super) fn print(session: &mut Session, status: &Status) -> anyhow::Result<()> {
    let everybodys = status
        .governing
        .iter()
        .find(|governing| governing.tenant.is_none());
    let everybodys = everybodys.and_then(|governing| governing.release.as_ref());
    let mut governing: Vec<_> = status.governing.iter().collect();
    governing.sort_by_key(|governing| governing.tenant.as_deref());
    let mut list = session.out.list(["WHO", "POLICY", "SINCE", "INSTEAD OF"])?;
    for governing in governing {
        let record = WhoRecord::of(governing, everybodys);
        list.push(&record, || record.cells())?;
    }
    list.end("")?;
    Ok(())
}
