//! `patrol policy stage`, `activate`, `rollback` and `diff`: which release a data directory runs.

use std::path::Path;

use patrol_policy::types::Id;
use serde::Serialize;

use super::failure::Exit;
use super::print::{fields, plain};
use super::reach::Reached;
use super::{Session, caller, caller_name, release};
use crate::control::{Release, Verb};
use crate::release::Release as ReleaseFile;
use crate::scenario::{FailedStep, Report};
use crate::service::{Error, Patrol};
use crate::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StagedRecord {
    id: String,
    name: String,
    version: String,
    release: u32,
    staged: String,
    active: bool,
}

impl StagedRecord {
    fn of(release: &Release, active: bool) -> Self {
        Self {
            id: release.id.clone(),
            name: release.name.clone(),
            version: release.version.clone(),
            release: release.release,
            staged: rfc3339(release.staged),
            active,
        }
    }

    fn short_id(&self) -> String {
        self.id.chars().take(12).collect()
    }

    fn named(&self) -> String {
        format!(
            "{} {}, release {} ({})",
            plain(&self.name),
            plain(&self.version),
            self.release,
            self.short_id()
        )
    }
}

pub(super) fn stage(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let release = release::read(file, patrol.config().policy.max_component.bytes())?;
    let staged = patrol.stage(&caller(), &release)?;
    let row = Release::from(&staged.release);
    let record = StagingRecord {
        release: StagedRecord::of(&row, false),
        differs: staged.differs.iter().map(differs).collect(),
    };
    session.out.answer(&record, || {
        let id = record.release.short_id();
        let mut text = format!(
            "staged: {}; `patrol policy activate {id}` activates it",
            record.release.named()
        );
        if !staged.differs.is_empty() {
            let names: Vec<_> = staged.differs.iter().map(|report| report.name.as_str()).collect();
            text.push_str(&format!("\ndiffers from the stock rules: {}", names.join(", ")));
        }
        for report in &staged.differs {
            text.push_str(&difference(report));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// A release that was staged, and in which of the shipped scenarios it differs.
#[derive(Serialize)]
struct StagingRecord<'a> {
    #[serde(flatten)]
    release: StagedRecord,
    differs: Vec<DiffersRecord<'a>>,
}

#[derive(Serialize)]
struct DiffersRecord<'a> {
    scenario: &'a str,
    about: &'a str,
    failed: Option<&'a FailedStep>,
}

fn differs(report: &Report) -> DiffersRecord<'_> {
    DiffersRecord {
        scenario: &report.name,
        about: &report.about,
        failed: report.failed.as_ref(),
    }
}

/// The first thing in which a policy differs from a scenario, on a line of its own.
fn difference(report: &Report) -> String {
    let Some(failed) = &report.failed else {
        return String::new();
    };
    let difference = failed
        .differences
        .first()
        .map_or_else(String::new, |one| one.to_string());
    format!(
        "\n  {}:{}: {} at {}: {}",
        plain(&report.file),
        failed.line,
        plain(&failed.what),
        failed.at,
        plain(&difference)
    )
}

pub(super) fn activate(
    session: &mut Session,
    release: String,
    tenant: Option<String>,
    allow_downgrade: bool,
) -> anyhow::Result<Exit> {
    let active = match Reached::find(session)? {
        Reached::Here(patrol, lock) => {
            let of = scope(&patrol, tenant.as_deref())?;
            Release::from(&patrol.activate(&lock, &caller(), &release, of, allow_downgrade)?)
        }
        Reached::Server(client) => {
            let tenant = tenant.clone();
            let verb = Verb::Activate {
                release,
                tenant,
                allow_downgrade,
            };
            client.ask(&caller_name(), verb)?
        }
    };
    let record = StagedRecord::of(&active, true);
    session.out.answer(&record, || {
        format!("active{}: {}", for_tenant(tenant.as_deref()), record.named())
    })?;
    Ok(Exit::Done)
}

pub(super) fn rollback(session: &mut Session, tenant: Option<String>) -> anyhow::Result<Exit> {
    let active: Option<Release> = match Reached::find(session)? {
        Reached::Here(patrol, lock) => {
            let of = scope(&patrol, tenant.as_deref())?;
            let row = patrol.rollback(&lock, &caller(), of)?;
            row.as_ref().map(Release::from)
        }
        Reached::Server(client) => {
            let tenant = tenant.clone();
            client.ask(&caller_name(), Verb::Rollback { tenant })?
        }
    };
    let record = active.as_ref().map(|release| StagedRecord::of(release, true));
    session.out.answer(&record, || {
        let named = record.as_ref().map(StagedRecord::named);
        let nothing = match tenant {
            Some(_) => "what everybody has",
            None => "the built-in policy",
        };
        let named = named.unwrap_or_else(|| nothing.to_owned());
        format!("active{}: {named}", for_tenant(tenant.as_deref()))
    })?;
    Ok(Exit::Done)
}

/// The tenant meant.
fn scope(patrol: &Patrol, tenant: Option<&str>) -> Result<Option<Id>, Error> {
    let row = tenant.map(|name| patrol.tenant(name)).transpose()?;
    Ok(row.map(|row| row.id))
}

fn for_tenant(tenant: Option<&str>) -> String {
    tenant
        .map(|name| format!(" for {}", plain(name)))
        .unwrap_or_default()
}

#[derive(Serialize)]
struct DiffRecord {
    what: &'static str,
    a: String,
    b: String,
}

pub(super) fn diff(session: &mut Session, a: &str, b: &str) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let ((_, a), (_, b)) = (patrol.release(a)?, patrol.release(b)?);
    let records: Vec<_> = told(&a)
        .into_iter()
        .zip(told(&b))
        .filter(|((_, a), (_, b))| a != b)
        .map(|((what, a), (_, b))| DiffRecord { what, a, b })
        .collect();
    session.out.answer(&records, || {
        if records.is_empty() {
            return "no difference".to_owned();
        }
        let rows = records
            .iter()
            .map(|record| (record.what, format!("{} -> {}", record.a, record.b)));
        fields(rows)
    })?;
    Ok(Exit::Done)
}

/// What can differ between two releases.
fn told(release: &ReleaseFile) -> [(&'static str, String); 10] {
    let manifest = release.manifest();
    let signer = release.signer().map(ToString::to_string);
    [
        ("name", plain(&manifest.name)),
        ("version", plain(&manifest.version)),
        ("release", manifest.release.to_string()),
        ("component", manifest.component.clone()),
        ("size", format!("{} bytes", release.component().len())),
        ("contract", plain(&manifest.wit)),
        ("minimum host", plain(&manifest.minimum_host)),
        ("created", plain(&manifest.created)),
        ("notes", plain(&manifest.notes)),
        ("signed by", signer.unwrap_or_else(|| "nobody".to_owned())),
    ]
}
