//! What a notice says in words, for mail: all of it in one place.

use crate::service::{Notice, NoticeKind};

/// The subject line.
pub(super) fn subject(notice: &Notice) -> String {
    match notice.kind {
        NoticeKind::Ending => format!(
            "Token \"{}\" ends on {}",
            token(notice),
            date(notice.ends.as_ref().map_or("", |ends| &ends.at))
        ),
        NoticeKind::Revoked => format!("Token \"{}\" was revoked", token(notice)),
        NoticeKind::AllRevoked => format!("Personal access tokens of {} were revoked", whose(notice)),
    }
}

/// The text, in lines.
pub(super) fn text(notice: &Notice) -> String {
    let mut lines = Vec::new();
    match notice.kind {
        NoticeKind::Ending => {
            let idle = notice.ends.as_ref().is_some_and(|ends| ends.cause == "idle");
            lines.push(format!(
                "The personal access token \"{}\" is about to end.",
                token(notice)
            ));
            lines.push(String::new());
            if let Some(ends) = &notice.ends {
                lines.push(format!("Ends:       {}", ends.at));
            }
            lines.push(
                match idle {
                    true => "Why:        it has not been used for long; a use before then keeps it.",
                    false => "Why:        its expiration date.",
                }
                .to_owned(),
            );
        }
        NoticeKind::Revoked => {
            lines.push(format!(
                "The personal access token \"{}\" was revoked.",
                token(notice)
            ));
            lines.push(String::new());
        }
        NoticeKind::AllRevoked => {
            lines.push(format!(
                "The personal access tokens of {} were revoked.",
                whose(notice)
            ));
            lines.push(String::new());
        }
    }
    if let Some(revoked) = &notice.revoked {
        lines.push(format!("Revoked:    {}", revoked.at));
        let by = match &revoked.by {
            Some(by) => format!("{} ({})", one_line(by), one_line(&revoked.by_role)),
            None => one_line(&revoked.by_role),
        };
        lines.push(format!("By:         {by}"));
        if let Some(count) = revoked.count {
            lines.push(format!("Tokens:     {count}"));
        }
        if let Some(owners) = revoked.owners {
            lines.push(format!("Of users:   {owners}"));
        }
        if let Some(method) = &revoked.auth_method {
            lines.push(format!(
                "Why:        the authentication method was changed to {}.",
                one_line(method)
            ));
        }
    }
    if let Some(token) = &notice.token {
        lines.push(format!("Token:      {}", token.id));
        let used = match (&token.last_used, &token.last_used_from) {
            (Some(at), Some(from)) => format!("{at} from {}", one_line(from)),
            (Some(at), None) => at.clone(),
            (None, _) => "never".to_owned(),
        };
        lines.push(format!("Last used:  {used}"));
    }
    for (what, named) in [("Owner:      ", &notice.owner), ("Tenant:     ", &notice.tenant)] {
        if let Some(named) = named {
            let name = named.name.as_deref().map_or_else(|| named.id.clone(), one_line);
            lines.push(format!("{what}{name}"));
        }
    }
    lines.push(String::new());
    lines.push("Times are in UTC. This is sent once.".to_owned());
    lines.push(String::new());
    lines.join("\r\n")
}

fn token(notice: &Notice) -> String {
    notice
        .token
        .as_ref()
        .map_or_else(String::new, |token| one_line(&token.name))
}

fn whose(notice: &Notice) -> String {
    let named = notice.owner.as_ref().or(notice.tenant.as_ref());
    named.map_or_else(String::new, |named| {
        named.name.as_deref().map_or_else(|| named.id.clone(), one_line)
    })
}

/// The day of an RFC 3339 time.
fn date(at: &str) -> &str {
    at.split('T').next().unwrap_or(at)
}

/// A name as it is, but on one line and in its own place: no end of a line, or sign that turns the direction of what
/// follows, is part of it.
fn one_line(name: &str) -> String {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    name.chars()
        .map(|c| if unfit(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_to_its_line() {
        let told = one_line("a\r\nBcc: b\u{2028}c\u{202e}d\u{0}e");
        assert!(
            told.chars()
                .all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}')
        );
        assert_eq!(one_line("CI — Prüfstand 日本"), "CI — Prüfstand 日本");
    }
}
