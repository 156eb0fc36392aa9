//! Notices by mail, with a real server: Python's aiosmtpd.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use patrol::config::{MailConfig, MailTls, NoticeConfig};
use patrol::service::{NoticeChannel, UserRef};
use patrol_policy::types::{DAY, Scope};
use patrol_tests::deployment::{Deployment, START, id, operator, person};
use patrol_tests::gateway::{find, have};
use serde_json::Value;
use tempfile::TempDir;

use super::support::{outcomes, send_all, with};

/// A mail server, ended with the test.
pub struct Smtp {
    directory: TempDir,
    child: Child,
    pub port: u16,
}

impl Smtp {
    pub fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let python = find("aiosmtpd").unwrap().with_file_name("python3");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/smtp.py");
        let mut command = Command::new(python);
        command.arg(script).arg(directory.path()).args(options);
        let mut smtp = Self {
            child: command.spawn().unwrap(),
            directory,
            port: 0,
        };
        let port = smtp.wait_for(|smtp| std::fs::read_to_string(smtp.directory.path().join("port")).ok());
        smtp.port = port.parse().unwrap();
        smtp
    }

    fn wait_for<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All messages so far.
    pub fn messages(&self) -> Vec<Value> {
        (0..)
            .map_while(|number| {
                let path = self.directory.path().join(format!("{number}.json"));
                Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap())
            })
            .collect()
    }

    /// The same, once there are so many.
    pub fn wait_for_messages(&self, count: usize) -> Vec<Value> {
        self.wait_for(|smtp| Some(smtp.messages()).filter(|messages| messages.len() >= count))
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mailing(port: u16) -> MailConfig {
    MailConfig {
        server: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        from: "Patrol <patrol@example.com>".to_owned(),
        ..MailConfig::default()
    }
}

fn deployment(mail: MailConfig) -> Deployment {
    with(NoticeConfig {
        mail: Some(mail),
        ..NoticeConfig::default()
    })
}

fn send(deployment: &Deployment) -> usize {
    send_all(&deployment.patrol, NoticeChannel::Mail)
}

/// The head of a message, a line for each field, and its text.
fn parts(message: &Value) -> (Vec<String>, String) {
    let content = message["content"].as_str().unwrap().replace("\r\n", "\n");
    let (head, body) = content.split_once("\n\n").unwrap();
    // A field that goes on begins its next line with a space.
    let head = head.replace("\n ", " ");
    let body = body.replace("=\n", "").replace("=22", "\"").replace("=3D", "=");
    (head.lines().map(str::to_owned).collect(), body)
}

fn field<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let begin = format!("{name}: ");
    let mut found = head.iter().filter_map(|line| line.strip_prefix(&*begin));
    let first = found.next();
    assert_eq!(found.next(), None, "{name} is there twice: {head:?}");
    first
}

#[test]
fn owner_and_security_are_mailed_once_each_and_need_not_know_of_each_other() {
    if !have(&["aiosmtpd"]) {
        return;
    }
    let smtp = Smtp::start(&[]);
    let deployment = deployment(MailConfig {
        to: vec![
            "refused@example.com".to_owned(),
            "Security <security@example.com>".to_owned(),
        ],
        ..mailing(smtp.port)
    });
    send(&deployment);
    let token = deployment.issue_until(deployment.bob, "nightly", START + 3 * DAY);
    // One of three is refused by the server, which keeps nothing from the others.
    assert_eq!(send(&deployment), 0);
    assert_eq!(outcomes(&deployment), [Some("refused".to_owned())]);
    for _ in 0..3 {
        assert_eq!(send(&deployment), 0);
    }
    let messages = smtp.messages();
    let to: Vec<_> = messages
        .iter()
        .map(|message| message["to"][0].as_str().unwrap())
        .collect();
    assert_eq!(to, ["bob@example.com", "security@example.com"]);
    for message in &messages {
        assert_eq!(message["from"], "patrol@example.com");
        assert_eq!(message["to"].as_array().unwrap().len(), 1);
        let (head, body) = parts(message);
        assert_eq!(
            field(&head, "Subject"),
            Some("Token \"nightly\" ends on 2027-01-18")
        );
        assert_eq!(field(&head, "From"), Some("Patrol <patrol@example.com>"));
        assert!(
            field(&head, "Message-ID")
                .unwrap()
                .starts_with(&format!("<ending-{}-", id(&token)))
        );
        assert!(
            field(&head, "Date").is_some() && field(&head, "Bcc").is_none() && field(&head, "Cc").is_none()
        );
        for line in [
            "The personal access token \"nightly\" is about to end.",
            "Ends:       2027-01-18T08:00:00.000Z",
            "Why:        its expiration date.",
            "Last used:  never",
            "Owner:      bob",
            "Tenant:     acme",
        ] {
            assert!(body.lines().any(|told| told == line), "{line}: {body}");
        }
        assert!(
            !message["content"]
                .as_str()
                .unwrap()
                .contains(std::str::from_utf8(token.secret.expose()).unwrap())
        );
    }
    assert!(!messages[0]["content"].as_str().unwrap().contains("security"));
}

#[test]
fn names_stay_in_their_place_whatever_they_are() {
    if !have(&["aiosmtpd"]) {
        return;
    }
    let smtp = Smtp::start(&[]);
    let deployment = deployment(mailing(smtp.port));
    let patrol = &deployment.patrol;
    send(&deployment);
    let user = UserRef::Id(deployment.bob);
    // An owner's address is written to only if it is one.
    let names = [
        "x =?utf-8?q?=0d=0aBcc:_evil@example.com?= y",
        "Überprüfung\u{2028}Bcc: evil@example.com",
        "\u{202e}moc.elpmaxe@live :ccB",
        "a, <evil@example.com>; \"b\" \\r\\nBcc: evil@example.com",
        ".",
    ];
    for name in names {
        let token = deployment.issue(deployment.bob, name);
        patrol.revoke(&person(deployment.bob), id(&token)).unwrap();
    }
    let long = "é".repeat(255);
    let token = deployment.issue(deployment.bob, &long);
    patrol.revoke(&person(deployment.bob), id(&token)).unwrap();
    assert_eq!(send(&deployment), names.len() + 1);
    let messages = smtp.messages();
    assert_eq!(messages.len(), names.len() + 1);
    let allowed = [
        "From",
        "To",
        "Subject",
        "Message-ID",
        "Date",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    ];
    for message in &messages {
        assert_eq!(message["to"], serde_json::json!(["bob@example.com"]));
        let content = message["content"].as_str().unwrap();
        assert!(content.is_ascii());
        let (head, _) = parts(message);
        for line in &head {
            let name = line.split(':').next().unwrap();
            assert!(allowed.contains(&name), "{line}");
        }
        assert_eq!(field(&head, "To"), Some("bob@example.com"));
        assert!(field(&head, "Subject").is_some());
    }

    for address in [
        "bob@example.com\r\nBcc: evil@example.com",
        "a@example.com, evil@example.com",
        "nobody",
    ] {
        if patrol.set_email(&operator(), &user, Some(address)).is_err() {
            continue;
        }
        let token = deployment.issue(deployment.bob, "to nobody");
        patrol.revoke(&operator(), id(&token)).unwrap();
        send(&deployment);
        assert_eq!(smtp.messages().len(), messages.len(), "{address:?}");
    }
}

#[test]
fn a_tenant_s_change_of_method_is_mailed_to_those_who_are_named() {
    if !have(&["aiosmtpd"]) {
        return;
    }
    let smtp = Smtp::start(&[]);
    let deployment = deployment(MailConfig {
        to: vec!["security@example.com".to_owned()],
        ..mailing(smtp.port)
    });
    send(&deployment);
    for number in 0..20 {
        let _ = deployment.issue(deployment.bob, &format!("t{number}"));
    }
    let scope = Scope::Tenant(deployment.tenant);
    deployment
        .patrol
        .change_auth_method(&operator(), scope, "saml")
        .unwrap();
    assert_eq!(send(&deployment), 1);
    let [message] = smtp.messages().try_into().unwrap();
    assert_eq!(message["to"], serde_json::json!(["security@example.com"]));
    let (head, body) = parts(&message);
    assert_eq!(
        field(&head, "Subject"),
        Some("Personal access tokens of acme were revoked")
    );
    for line in [
        "By:         operator (administrator)",
        "Tokens:     20",
        "Of users:   1",
        "Why:        the authentication method was changed to saml.",
    ] {
        assert!(body.lines().any(|told| told == line), "{line}: {body}");
    }
}

#[test]
fn mail_waits_for_its_server_its_password_and_its_privacy() {
    if !have(&["aiosmtpd"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    let write = |password: &str| {
        use std::os::unix::fs::OpenOptionsExt as _;
        let _ = std::fs::remove_file(&path);
        let file = std::fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        std::io::Write::write_all(&mut file.unwrap(), password.as_bytes()).unwrap();
    };
    let smtp = Smtp::start(&["auth"]);
    let closed = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let signed_in = |port| MailConfig {
        user: Some("patrol".to_owned()),
        password_file: Some(path.clone()),
        ..mailing(port)
    };
    let deployment = deployment(signed_in(closed));
    let reconfigure = |mail| {
        let mut config = (*deployment.patrol.config()).clone();
        config.notices.mail = Some(mail);
        config.check().unwrap();
        deployment.patrol.reconfigure(config);
    };
    let waits = || {
        assert_eq!(send(&deployment), 0);
        assert!(smtp.messages().is_empty() && outcomes(&deployment).is_empty());
    };
    let _ = deployment.issue_until(deployment.bob, "nightly", START + 3 * DAY);
    waits();
    write("wrong\n");
    waits();
    reconfigure(signed_in(smtp.port));
    waits();
    write("correct horse\n");
    // A server that offers no privacy is told neither the password nor anything else.
    reconfigure(MailConfig {
        tls: MailTls::Starttls,
        ..signed_in(smtp.port)
    });
    waits();
    reconfigure(signed_in(smtp.port));
    assert_eq!(send(&deployment), 1);
    assert_eq!(smtp.messages()[0]["user"], "patrol");
    assert_eq!(outcomes(&deployment), [Some("delivered".to_owned())]);
}
