//! `patrol verify`.

use clap::Args;
use patrol_policy::token::{ACCOUNT_PREFIX, SESSION_PREFIX};
use patrol_policy::types::{Id, Refusal};
use serde::Serialize;

use super::failure::Exit;
use super::print::{self, fields, or_dash, plain};
use super::records::{Ends, full_name, roles, uuid};
use super::{Session, input};
use crate::service::{Error, Identity, Origin, explain};

const EXAMPLES: &str = "\
Examples:
  patrol verify < token.txt
  patrol verify --audience ci < token.txt && echo good

Exit codes: 0 accepted, 3 refused, 6 or 7 where there is no verdict; `patrol --help` lists all.";

/// What to verify.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    /// Where the token is presented (R12) [default: http.audience of the configuration, which is "api"]
    #[arg(long)]
    audience: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Verdict<'a> {
    Accepted {
        token_id: Option<String>,
        token_name: Option<&'a str>,
        owner: &'a str,
        #[serde(serialize_with = "uuid")]
        owner_id: Id,
        tenant: &'a str,
        roles: &'a [String],
        audience: &'a str,
        session: Option<String>,
        ends: Ends,
    },
    Refused {
        reason: &'static str,
        message: &'static str,
        token_id: Option<String>,
    },
}

pub(super) fn run(session: &mut Session, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let patrol = session.open()?;
    let config = patrol.config();
    let line = input::secret_line("token", "patrol verify")?;
    let presented = line.expose().trim_ascii();
    let audience = args.audience.as_deref().unwrap_or(&config.http.audience);
    let origin = Origin::default();
    let prefixes = [SESSION_PREFIX, ACCOUNT_PREFIX];
    let verdict = if prefixes
        .iter()
        .any(|prefix| presented.starts_with(prefix.as_bytes()))
    {
        patrol.check_session(presented, audience, &origin)
    } else {
        patrol.authenticate(presented, audience, &origin)
    };
    // A use, or the event of a refusal, is on disk before the verdict is told.
    patrol.flush()?;
    match verdict {
        Ok(identity) => accepted(session, &identity, patrol.now()),
        Err(Error::Refused(refusal)) => refused(session, refusal),
        Err(error) => Err(error.into()),
    }
}

fn accepted(session: &mut Session, identity: &Identity, now: u64) -> anyhow::Result<Exit> {
    let token = identity.token();
    let (token_id, token_name) = (
        token.map(|row| row.state.token.id.to_string()),
        token.map(|row| &*row.name),
    );
    let (audience, ends) = (identity.audience(), identity.ends);
    let verdict = Verdict::Accepted {
        token_id: token_id.clone(),
        token_name,
        owner: identity.user_name(),
        owner_id: identity.user_id(),
        tenant: identity.tenant_name(),
        roles: identity.roles(),
        audience,
        session: identity.session.map(|id| id.to_string()),
        ends: ends.into(),
    };
    session.out.answer(&verdict, || {
        let what = match identity.session {
            Some(id) => format!("session {id}"),
            None => "token".to_owned(),
        };
        let details = fields([
            ("owner", full_name(identity.tenant_name(), identity.user_name())),
            ("roles", roles(identity.roles())),
            ("token", or_dash(token_name.map(plain))),
            ("token id", or_dash(token_id)),
            ("audience", plain(audience)),
            ("ends", print::end(ends, now)),
        ]);
        format!("accepted: {what}\n{details}")
    })?;
    Ok(Exit::Done)
}

fn refused(session: &mut Session, refusal: Refusal) -> anyhow::Result<Exit> {
    let token = refusal.token.map(|id| id.to_string());
    let (reason, message) = (refusal.reason.as_str(), explain(refusal.reason));
    let verdict = Verdict::Refused {
        reason,
        message,
        token_id: token.clone(),
    };
    session.out.answer(&verdict, || {
        let about = token.map_or_else(String::new, |id| format!("\ntoken id  {id}"));
        format!("refused: {message} ({reason}){about}")
    })?;
    Ok(Exit::Refused)
}
