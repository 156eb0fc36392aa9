//! What the types of the contract cannot say about an answer. Every length and every text here comes from a guest that
//! may be hostile; a violation is a [`Fault::Contract`](super::Fault::Contract), whatever the verdict was.

use patrol_policy::Secret;
use patrol_policy::types::{Description, Issued, ListedToken, OpenedSession, Outlook, Swept};

use super::bindings::exports::patrol::policy::{about, engine};
use super::limits::{LISTED_TOKENS, SECRET_BYTES};

/// A value of the contract that passed, or what is wrong with it in words for the log.
pub(super) type Lifted<T> = Result<T, String>;

/// Nothing but numbers and enums, which wasmtime has checked.
pub(super) fn flat<W, T: From<W>>(answer: W) -> Lifted<T> {
    Ok(answer.into())
}

pub(super) fn issued(answer: engine::Issued) -> Lifted<Issued> {
    let issued = Issued::from(answer);
    secret(&issued.secret)?;
    Ok(issued)
}

pub(super) fn opened_session(answer: engine::OpenedSession) -> Lifted<OpenedSession> {
    let opened = OpenedSession::from(answer);
    secret(&opened.secret)?;
    Ok(opened)
}

pub(super) fn listed(answer: Vec<engine::ListedToken>) -> Lifted<Vec<ListedToken>> {
    if answer.len() > LISTED_TOKENS {
        return Err(format!(
            "a list of {} tokens, where {LISTED_TOKENS} are allowed",
            answer.len()
        ));
    }
    Ok(answer.into_iter().map(Into::into).collect())
}

pub(super) fn outlooks(answer: Vec<engine::Outlook>, asked: usize) -> Lifted<Vec<Outlook>> {
    if answer.len() != asked {
        return Err(format!("{} outlooks for {asked} tokens", answer.len()));
    }
    Ok(answer.into_iter().map(Into::into).collect())
}

pub(super) fn swept(answer: engine::Swept, limit: u32) -> Lifted<Swept> {
    let swept = Swept::from(answer);
    let most = swept
        .ended
        .max(swept.secrets)
        .max(swept.forgotten)
        .max(swept.sessions);
    if most > limit {
        return Err(format!(
            "it swept {most} records of a kind, where {limit} were asked for"
        ));
    }
    Ok(swept)
}

pub(super) fn description(answer: about::Description) -> Lifted<Description> {
    for (what, text) in [("name", &answer.name), ("version", &answer.version)] {
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("its {what} is not 1 to 64 printable ASCII characters"));
        }
    }
    Ok(answer.into())
}

/// A secret is pasted into headers and environments: visible ASCII, and not a book.
fn secret(secret: &Secret) -> Lifted<()> {
    let text = secret.expose();
    if text.is_empty() || text.len() > SECRET_BYTES {
        return Err(format!(
            "a secret of {} bytes, where 1 to {SECRET_BYTES} are allowed",
            text.len()
        ));
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err("a secret that is not visible ASCII".to_owned());
    }
    Ok(())
}
