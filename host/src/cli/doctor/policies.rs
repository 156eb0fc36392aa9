//! Whether the policies that should decide do, everybody's and those that tenants have of their own.

use super::Findings;
use crate::cli::print::hex;
use crate::service::{Governing, PassedOver, Patrol};

const WHAT: &str = "policy";

pub(super) fn look(patrol: &Patrol, findings: &mut Findings) {
    match patrol.governing() {
        Ok(all) => all.iter().for_each(|governing| one(patrol, governing, findings)),
        Err(error) => findings.fail(WHAT, error.to_string()),
    }
}

fn one(patrol: &Patrol, governing: &Governing, findings: &mut Findings) {
    let tenant = governing.tenant.as_ref();
    let whose = tenant.map(|tenant| format!(" for {}", tenant.name));
    let whose = whose.unwrap_or_default();
    let option = tenant.map(|tenant| format!(" --tenant {}", tenant.id));
    let rollback = format!("run `patrol policy rollback{}`", option.unwrap_or_default());
    for PassedOver { release, why, .. } in &governing.passed_over {
        let id: String = hex(&release.digest).chars().take(12).collect();
        let instead = match (&governing.release, tenant) {
            (Some(row), _) => format!("{} {}, release {}", row.name, row.version, row.number),
            (None, Some(_)) => "what everybody has".to_owned(),
            (None, None) => "the built-in policy".to_owned(),
        };
        findings.fail(
            WHAT,
            format!(
                "{} {}, release {} ({id}), is active{whose} and cannot run: {why}. In its place runs {instead}; mend \
                 what is wrong and restart the server, or {rollback}",
                release.name, release.version, release.number
            ),
        );
    }
    // Where a tenant has what everybody has, that was looked at already.
    if tenant.is_some() && governing.release.is_none() {
        return;
    }
    match patrol.policy_info_of(tenant.map(|tenant| tenant.id)) {
        Ok(info) => findings.ok(
            WHAT,
            format!(
                "{} {} answers{whose}, sha-256 {}",
                info.description.name,
                info.description.version,
                hex(&info.digest)
            ),
        ),
        Err(error) if governing.release.is_some() => findings.fail(WHAT, format!("{error}; {rollback}")),
        Err(error) => findings.fail(WHAT, format!("{error}; install patrol anew")),
    }
}
