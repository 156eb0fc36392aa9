//! Changing an authentication method, of a tenant or of a user, or saying what that would do (R9).

use patrol_policy::types::Scope;
use serde::Serialize;

use super::failure::Exit;
use super::print::{Printed, count, plain};
use super::records::ShownToken;
use super::{Session, caller};
use crate::service::{MethodEffect, Patrol};

#[derive(Serialize)]
struct EffectRecord<'a> {
    changes: bool,
    from: &'a str,
    to: &'a str,
    tokens: Option<u64>,
    owners: Option<u64>,
}

/// Changes the method of `who`, or previews it.
pub(super) fn set(
    session: &mut Session,
    patrol: &Patrol,
    scope: Scope,
    who: &str,
    method: &str,
    preview: bool,
) -> anyhow::Result<Exit> {
    let effect = if preview {
        patrol.preview_auth_method(&caller(), scope, method)?
    } else {
        patrol.change_auth_method(&caller(), scope, method)?
    };
    let record = EffectRecord {
        changes: effect.changes,
        from: &effect.from,
        to: method,
        tokens: effect.tokens,
        owners: effect.owners,
    };
    if preview {
        return list_tokens(session, patrol, scope, &effect, &record, who);
    }
    session.out.answer(&record, || {
        if effect.changes {
            let from = plain(&effect.from);
            format!("Changed {who} from {from} to {method}: all its tokens have ended.")
        } else {
            unchanged(who, method)
        }
    })?;
    Ok(Exit::Done)
}

fn unchanged(who: &str, method: &str) -> String {
    format!("Nothing changes: {who} has the method {method} already, and all tokens stay.")
}

/// Prints the counts, then the tokens that would go, however many.
fn list_tokens(
    session: &mut Session,
    patrol: &Patrol,
    scope: Scope,
    effect: &MethodEffect,
    record: &EffectRecord<'_>,
    who: &str,
) -> anyhow::Result<Exit> {
    if !effect.changes && !session.out.is_json() {
        session.out.line(&unchanged(who, record.to))?;
        return Ok(Exit::Done);
    }
    if session.out.is_json() {
        // The list becomes one more member of the object, which is left open for it.
        let object = serde_json::to_string(record)?;
        session.out.raw(object.trim_end_matches('}'))?;
        session.out.raw(",\"preview\":")?;
    } else {
        session.out.line(&format!(
            "Changing {who} from {} to {} would end {} of {}. Nothing was changed.",
            plain(&effect.from),
            record.to,
            count(effect.tokens.unwrap_or_default(), "token"),
            count(effect.owners.unwrap_or_default(), "owner"),
        ))?;
    }
    let now = patrol.now();
    let mut list = session.out.list(ShownToken::HEADINGS)?;
    let mut printed: Printed = Ok(());
    if effect.changes {
        patrol.review_all(patrol.live_in(scope), |token| {
            let token = ShownToken::reviewed(token, now);
            printed = list.push(&token.record(), || token.cells(now));
            printed.is_ok()
        })?;
    }
    printed.and_then(|()| list.end_inner())?;
    if session.out.is_json() {
        session.out.raw("}\n")?;
    }
    Ok(Exit::Done)
}
