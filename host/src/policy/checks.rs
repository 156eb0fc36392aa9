//! What the types of the contract cannot say about an answer. Every length and every text here comes from a guest that
//! may be hostile; a violation is a [`Fault::Contract`](super::Fault::Contract), whatever the verdict was.

use patrol_policy::Secret;
use patrol_policy::types::{
    Description, Issued, ListedToken, MethodChange, MethodPreview, OpenedSession, Swept, Token,
};

use super::limits::{LISTED_TOKENS, NAME_BYTES, SECRET_BYTES};

/// What is wrong, in words for the log.
pub(super) type Checked = Result<(), String>;

/// Nothing but numbers and enums, which wasmtime has checked.
pub(super) fn flat<T>(_: &T) -> Checked {
    Ok(())
}

pub(super) fn issued(issued: &Issued) -> Checked {
    name(&issued.name)?;
    secret(&issued.secret)
}

pub(super) fn opened_session(opened: &OpenedSession) -> Checked {
    secret(&opened.secret)
}

pub(super) fn listed(tokens: &Vec<ListedToken>) -> Checked {
    if tokens.len() > LISTED_TOKENS {
        return Err(format!("a list of {} tokens, where {LISTED_TOKENS} are allowed", tokens.len()));
    }
    tokens.iter().try_for_each(|listed| {
        name(&listed.name)?;
        erased(&listed.token)
    })
}

pub(super) fn method_change(change: &MethodChange) -> Checked {
    name(&change.from)
}

pub(super) fn method_preview(preview: &MethodPreview) -> Checked {
    method_change(&preview.change)
}

pub(super) fn swept(swept: &Swept, limit: u32) -> Checked {
    let most = swept.ended.max(swept.secrets).max(swept.forgotten).max(swept.sessions);
    if most > limit {
        return Err(format!("it swept {most} records of a kind, where {limit} were asked for"));
    }
    Ok(())
}

pub(super) fn description(description: &Description) -> Checked {
    for (what, text) in [("name", &description.name), ("version", &description.version)] {
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("its {what} is not 1 to 64 printable ASCII characters"));
        }
    }
    Ok(())
}

/// A secret is pasted into headers and environments: visible ASCII, and not a book.
fn secret(secret: &Secret) -> Checked {
    let text = secret.expose();
    if text.is_empty() || text.len() > SECRET_BYTES {
        return Err(format!("a secret of {} bytes, where 1 to {SECRET_BYTES} are allowed", text.len()));
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err("a secret that is not visible ASCII".to_owned());
    }
    Ok(())
}

fn name(name: &str) -> Checked {
    if name.len() > NAME_BYTES {
        return Err(format!("a name of {} bytes, where {NAME_BYTES} are allowed", name.len()));
    }
    Ok(())
}

/// R2: a list that people see has no digests in it.
fn erased(token: &Token) -> Checked {
    if token.digest.to_bytes() != [0; 32] || token.previous.is_some() {
        return Err("a list with a digest in it".to_owned());
    }
    Ok(())
}
