//! What `[notices]` may say.

use std::path::Path;

use lettre::message::Mailbox;

use super::{Findings, Step, key};
use crate::config::notices::is_loopback;
use crate::config::{MailConfig, MailTls, NoticeConfig};
use crate::time::Millis;

pub(super) fn check(notices: &NoticeConfig, found: &mut Findings) {
    if let Some(url) = &notices.webhook {
        found.check("webhook", check_webhook(url));
    }
    if let Some(path) = &notices.webhook_secret_file {
        found.check("webhook_secret_file", check_file(path));
        if notices.webhook.is_none() {
            found.add(
                &["webhook_secret_file"],
                "there is no `webhook` whose notices it would sign",
            );
        }
    }
    if notices.ending_within == Millis(0) {
        found.add(&["ending_within"], "it must be longer than nothing");
    }
    if let Some(mail) = &notices.mail {
        found.within([key("mail")], |found| check_mail(mail, found));
    }
}

fn check_mail(mail: &MailConfig, found: &mut Findings) {
    let name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if mail.server.is_empty() || !mail.server.chars().all(name) {
        found.add(
            &["server"],
            "it must be the name or address of a mail server, without port",
        );
    } else if mail.tls == MailTls::None && !is_loopback(&mail.server) {
        found.add(
            &["tls"],
            "`none` is for a mail server on this machine only: elsewhere names of tokens, and the password, could be \
             read on the way",
        );
    }
    if mail.port == 0 {
        found.add(&["port"], "it must be from 1 to 65535");
    }
    if let Some(path) = &mail.password_file {
        found.check("password_file", check_file(path));
    }
    if mail.user.is_some() != mail.password_file.is_some() {
        found.add(&["user"], "`user` and `password_file` go together");
    }
    found.check("from", check_mailbox(&mail.from));
    for (index, to) in mail.to.iter().enumerate() {
        if let Err(why) = check_mailbox(to) {
            found.push([key("to"), Step::Index(index)], why.to_owned());
        }
    }
    if !mail.to_owner && mail.to.is_empty() {
        found.add(
            &["to"],
            "nobody is told anything: name somebody, or set `to_owner = true`",
        );
    }
}

fn check_webhook(url: &str) -> Result<(), &'static str> {
    const WHY: &str = "it must be an address that begins with https://, or with http:// on this machine";
    let uri = url.parse::<http::Uri>().map_err(|_| WHY)?;
    let authority = uri.authority().ok_or(WHY)?;
    if authority.as_str().contains('@') {
        return Err("it must hold no user and no password: use `webhook_secret_file`");
    }
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback(authority.host()) => Ok(()),
        _ => Err(WHY),
    }
}

/// Where the server was started is of no account.
fn check_file(path: &Path) -> Result<(), &'static str> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err("it must be an absolute path")
    }
}

fn check_mailbox(text: &str) -> Result<(), &'static str> {
    let one = !text.chars().any(char::is_control) && text.parse::<Mailbox>().is_ok();
    if one {
        Ok(())
    } else {
        Err("it must be an e-mail address, such as patrol@example.com or Patrol <patrol@example.com>")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistake, mistakes};

    #[test]
    fn a_webhook_is_reached_safely_or_not_at_all() {
        for url in [
            "http://example.com/x",
            "ftp://localhost/",
            "example.com",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "",
        ] {
            let text = format!("[notices]\nwebhook = \"{url}\"");
            mistake(&text, "notices.webhook", "https://");
        }
        mistake(
            "[notices]\nwebhook = \"https://a:b@x/\"",
            "notices.webhook",
            "no password",
        );
        for url in [
            "https://x/y?z=1",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://localhost/",
        ] {
            assert_eq!(
                mistakes(&format!("[notices]\nwebhook = \"{url}\"")),
                Vec::<String>::new()
            );
        }
        mistake(
            "[notices]\nwebhook = \"https://x/\"\nwebhook_secret_file = \"key\"",
            "notices.webhook_secret_file",
            "absolute",
        );
        mistake(
            "[notices]\nwebhook_secret_file = \"/key\"",
            "notices.webhook_secret_file",
            "no `webhook`",
        );
        mistake(
            "[notices]\nending_within = \"0s\"",
            "notices.ending_within",
            "longer",
        );
    }

    #[test]
    fn mail_is_private_signed_for_and_for_somebody() {
        let good = "[notices.mail]\nserver = \"mail.example.com\"\nfrom = \"Patrol <p@example.com>\"\n";
        assert_eq!(mistakes(good), Vec::<String>::new());
        for (more, at, holds) in [
            ("tls = \"none\"", "tls", "this machine"),
            ("user = \"a\"", "user", "go together"),
            ("to_owner = false", "to", "nobody"),
            ("to = [\"a@example.com\", \"b\"]", "to[2]", "an e-mail address"),
            (
                "to = [\"a@example.com\\r\\nBcc: b@example.com\"]",
                "to[1]",
                "an e-mail address",
            ),
            ("user = \"a\"\npassword_file = \"b\"", "password_file", "absolute"),
        ] {
            mistake(&format!("{good}{more}"), &format!("notices.mail.{at}"), holds);
        }
        mistake(
            "[notices.mail]\nfrom = \"p@example.com\"",
            "notices.mail.server",
            "name or address",
        );
        mistake(
            "[notices.mail]\nserver = \"x\"",
            "notices.mail.from",
            "an e-mail address",
        );
        let text = format!("{good}sever = \"x\"");
        mistake(&text, "notices.mail.sever", "did you mean `server`");
        let local = "[notices.mail]\nserver = \"localhost\"\nfrom = \"p@example.com\"\ntls = \"none\"";
        assert_eq!(mistakes(local), Vec::<String>::new());
    }
}
