//! Notices by mail: plain text over SMTP, to the token's owner and to those whom the configuration names.
//!
//! Names come from users. They are in the subject and the text only, each on one line, and are encoded by `lettre`; who
//! is written to comes from the configuration, and from the owner's e-mail address where that is one.

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};

use super::{PATIENCE, Sent, secret, text, unreadable};
use crate::config::{MailConfig, MailTls};
use crate::service::Notice;

/// Mails a notice, to each who is to be told a message of their own: none of them need know who else is, and an address
/// that the server does not take keeps it from nobody else. Where there is nobody to be told, it counts as told.
pub(super) fn send(config: &MailConfig, notice: &Notice) -> Sent {
    let messages = match compose(config, notice) {
        Ok(messages) => messages,
        Err(why) => return Sent::Refused(why),
    };
    let credentials = match credentials(config) {
        Ok(credentials) => credentials,
        Err(why) => return why,
    };
    let mut outcome = Sent::Delivered;
    let mut connection = None;
    for (place, (envelope, message)) in messages.into_iter().enumerate() {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match connect(config, credentials.as_ref()) {
                Ok(open) => open,
                // Until there is a connection that may be used, nothing of it has left.
                Err(error) if place == 0 => return Sent::Nothing(error.to_string()),
                Err(error) => return Sent::Unknown(error.to_string()),
            },
        };
        match open.send(&envelope, &message) {
            Ok(_) => connection = Some(open),
            Err(error) if error.is_transient() || error.is_permanent() || error.is_client() => {
                outcome = Sent::Refused(error.to_string());
            }
            Err(error) => return Sent::Unknown(error.to_string()),
        }
    }
    if let Some(mut open) = connection {
        // It has arrived, whatever the server says to goodbye.
        let _ = open.quit();
    }
    outcome
}

fn connect(
    config: &MailConfig,
    credentials: Option<&Credentials>,
) -> Result<SmtpConnection, lettre::transport::smtp::Error> {
    let hello = ClientId::default();
    let tls = match config.tls {
        MailTls::None => None,
        MailTls::Starttls | MailTls::Implicit => Some(TlsParameters::new_rustls(bare(&config.server))?),
    };
    let from_the_start = tls.as_ref().filter(|_| config.tls == MailTls::Implicit);
    let server = (bare(&config.server), config.port);
    let mut connection = SmtpConnection::connect(
        (&*server.0, server.1),
        Some(PATIENCE),
        &hello,
        from_the_start,
        None,
    )?;
    if config.tls == MailTls::Starttls
        && let Some(tls) = &tls
    {
        // Fails where the server does not offer it: nothing goes on in the clear.
        connection.starttls(tls, &hello)?;
    }
    if let Some(credentials) = credentials {
        connection.auth(DEFAULT_MECHANISMS, credentials)?;
    }
    Ok(connection)
}

/// An IPv6 address without its brackets.
fn bare(server: &str) -> String {
    server.trim_matches(['[', ']']).to_owned()
}

fn credentials(config: &MailConfig) -> Result<Option<Credentials>, Sent> {
    let (Some(user), Some(path)) = (&config.user, &config.password_file) else {
        return Ok(None);
    };
    let password = secret(path).map_err(|error| unreadable("password_file", &error))?;
    match std::str::from_utf8(&password) {
        Ok(password) => Ok(Some(Credentials::new(user.clone(), password.to_owned()))),
        Err(_) => Err(Sent::Nothing("password_file is not UTF-8".to_owned())),
    }
}

/// A message to each who is to be told.
fn compose(config: &MailConfig, notice: &Notice) -> Result<Vec<(Envelope, Vec<u8>)>, String> {
    let from: Mailbox = config
        .from
        .parse()
        .map_err(|_| "`from` is no address".to_owned())?;
    let owner = notice.owner_email().filter(|_| config.to_owner);
    let owner = owner.and_then(|email| email.parse::<Address>().ok());
    let named = config.to.iter().filter_map(|to| to.parse::<Mailbox>().ok());
    let mut everybody: Vec<Mailbox> = Vec::new();
    for mailbox in owner
        .map(|address| Mailbox::new(None, address))
        .into_iter()
        .chain(named)
    {
        if everybody.iter().all(|other| other.email != mailbox.email) {
            everybody.push(mailbox);
        }
    }
    let to = |(place, mailbox): (usize, Mailbox)| {
        let id = format!("<{}-{place}@{}>", notice.id, from.email.domain());
        let envelope = Envelope::new(Some(from.email.clone()), vec![mailbox.email.clone()]);
        let message = Message::builder()
            .from(from.clone())
            .to(mailbox)
            .subject(text::subject(notice))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .body(text::text(notice));
        let envelope = envelope.map_err(|error| error.to_string())?;
        let message = message.map_err(|error| error.to_string())?;
        Ok((envelope, message.formatted()))
    };
    everybody.into_iter().enumerate().map(to).collect()
}
