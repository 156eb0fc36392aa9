//! What the server says when it is there.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::print::{fields, hex, plain};
use crate::cli::{Session, policy, shell_word};
use crate::service::{Patrol, PolicyInfo};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartedRecord<'a> {
    #[serde(flatten)]
    listening: Listening,
    data: &'a Path,
    policy: PolicyRecord<'a>,
    tenants: usize,
    /// Where to make the first tenant in a browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup: Option<&'a str>,
}

/// Where it listens.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listening {
    #[serde(rename = "address")]
    pub(super) http: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grpc: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) spop: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fastcgi: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metrics: Option<SocketAddr>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRecord<'a> {
    name: &'a str,
    version: &'a str,
    digest: String,
    isolation: String,
}

/// Says that the server is there, and, where there is no tenant yet, how to begin.
pub(super) fn announce(session: &mut Session, patrol: &Patrol, listening: Listening) -> anyhow::Result<()> {
    let info = patrol.policy_info()?;
    let tenants = patrol.tenants()?.len();
    let setup = patrol.setup_link()?.map(|link| {
        let path = link.path();
        let base = patrol.config().api.public_url.clone();
        let base = base.unwrap_or_else(|| format!("http://{}", listening.http));
        let mut address = Zeroizing::new(String::with_capacity(base.len().saturating_add(path.len())));
        address.push_str(base.trim_end_matches('/'));
        address.push_str(&path);
        address
    });
    let record = StartedRecord {
        listening,
        data: patrol.data(),
        policy: PolicyRecord {
            name: &info.description.name,
            version: &info.description.version,
            digest: hex(&info.digest),
            isolation: policy::isolation(patrol),
        },
        tenants,
        setup: setup.as_ref().map(|address| address.as_str()),
    };
    let first = record
        .setup
        .map(|address| first_steps(session, listening.http, address));
    let printed = session.out.answer(&record, || {
        let mut text = summary(&record, &info);
        text.extend(first);
        text
    });
    // A server whose output nobody reads is still a server.
    if let Err(error) = printed.and_then(|()| session.out.flush()) {
        tracing::warn!(%error, "started, but could not say so");
    }
    Ok(())
}

fn summary(record: &StartedRecord<'_>, info: &PolicyInfo) -> String {
    let about = &info.description;
    let listening = &record.listening;
    let more = [
        ("grpc", listening.grpc, ""),
        ("spop", listening.spop, ""),
        ("fastcgi", listening.fastcgi, ""),
        ("metrics", listening.metrics, "/metrics"),
    ];
    let more = more
        .into_iter()
        .filter_map(|(what, address, path)| Some((what, address?, path)))
        .map(|(what, address, path)| match path {
            "" => (what, address.to_string()),
            path => (what, format!("http://{address}{path}")),
        });
    let http = [("listening on", format!("http://{}", listening.http))];
    let rest = [
        ("data", plain(&record.data.display().to_string())),
        (
            "policy",
            format!(
                "{} {}, {}",
                plain(&about.name),
                plain(&about.version),
                record.policy.isolation
            ),
        ),
        ("sha-256", record.policy.digest.clone()),
    ];
    fields(http.into_iter().chain(more).chain(rest))
}

/// The link and the commands that lead from nothing to a verified token, to be copied as they are.
fn first_steps(session: &Session, address: SocketAddr, setup: &str) -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| "patrol".into());
    let mut patrol = shell_word(&program);
    let mut option = |name: &str, value: &OsStr| {
        patrol.push_str(&format!(" {name} {}", shell_word(value)));
    };
    option("--data", session.global.data.as_os_str());
    if let Some(config) = &session.global.config {
        option("--config", config.as_os_str());
    }
    format!(
        "\n\nThere is no tenant yet. Open this link in a browser to make one, with you as its administrator; it is good \
         once, for 24 hours:\n\n\
         \x20 {setup}\n\n\
         Or make the first token with these commands, in another terminal:\n\n\
         \x20 {patrol} tenant create example\n\
         \x20 {patrol} user create --tenant example --name ann --role admin\n\
         \x20 {patrol} token create --owner ann --name first --expires 90d\n\n\
         and this one, with the secret in $PAT (`read -rs PAT` takes it unseen), signs in with it:\n\n\
         \x20 printf '{{\"token\":\"%s\"}}' \"$PAT\" | curl --json @- http://{address}/api/v1/pat/login\n"
    )
}
