//! `patrol policy stage`, `list`, `activate`, `rollback` and `diff`: which release a data directory runs.

use std::path::Path;

use serde::Serialize;

use super::failure::Exit;
use super::print::{date, fields, hex, plain};
use super::{Session, caller, release};
use crate::release::Release;
use crate::service::{ReleaseRow, ServeLock};
use crate::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StagedRecord<'a> {
    id: String,
    name: &'a str,
    version: &'a str,
    release: u32,
    staged: String,
    active: bool,
}

impl<'a> StagedRecord<'a> {
    fn of(row: &'a ReleaseRow, active: bool) -> Self {
        Self {
            id: hex(&row.digest),
            name: &row.name,
            version: &row.version,
            release: row.number,
            staged: rfc3339(row.staged),
            active,
        }
    }

    fn named(&self) -> String {
        let id = self.id.get(..12).unwrap_or_default();
        format!(
            "{} {}, release {} ({id})",
            plain(self.name),
            plain(self.version),
            self.release
        )
    }
}

pub(super) fn stage(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let release = release::read(file, patrol.config().policy.max_component.bytes())?;
    let row = patrol.stage(&caller(), &release)?;
    let record = StagedRecord::of(&row, false);
    session.out.answer(&record, || {
        let id = record.id.get(..12).unwrap_or_default();
        format!(
            "staged: {}; `patrol policy activate {id}` activates it",
            record.named()
        )
    })?;
    Ok(Exit::Done)
}

pub(super) fn list(session: &mut Session) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let (releases, activations) = (patrol.releases()?, patrol.activations(None)?);
    let active = activations.first().map(|row| row.digest);
    let mut list = session
        .out
        .list(["ID", "NAME", "VERSION", "RELEASE", "STAGED", "ACTIVE"])?;
    for row in &releases {
        let record = StagedRecord::of(row, Some(row.digest) == active);
        list.push(&record, || {
            [
                record.id.get(..12).unwrap_or_default().to_owned(),
                plain(record.name),
                plain(record.version),
                record.release.to_string(),
                date(row.staged),
                if record.active { "active" } else { "" }.to_owned(),
            ]
        })?;
    }
    list.end("No release was staged: the built-in policy is active.")?;
    Ok(Exit::Done)
}

pub(super) fn activate(session: &mut Session, id: &str, allow_downgrade: bool) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let lock = ServeLock::take(patrol.data())?;
    let row = patrol.activate(&lock, &caller(), id, None, allow_downgrade)?;
    let record = StagedRecord::of(&row, true);
    session
        .out
        .answer(&record, || format!("active: {}", record.named()))?;
    Ok(Exit::Done)
}

pub(super) fn rollback(session: &mut Session) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let lock = ServeLock::take(patrol.data())?;
    let row = patrol.rollback(&lock, &caller(), None)?;
    let record = row.as_ref().map(|row| StagedRecord::of(row, true));
    session.out.answer(&record, || match &record {
        Some(record) => format!("active: {}", record.named()),
        None => "active: the built-in policy".to_owned(),
    })?;
    Ok(Exit::Done)
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
fn told(release: &Release) -> [(&'static str, String); 10] {
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
