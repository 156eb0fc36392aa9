//! At most once, whatever happens on the way.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use patrol::config::NoticeConfig;
use patrol::notices::Post;
use patrol::service::{NoticeChannel, NoticeReader, ServeLock};
use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START, id, operator};
use sha2::{Digest as _, Sha256};

use super::receiver::{Answer, Receiver};
use super::support::{counted, outcomes, send_webhooks, telling, with};

/// One token that ends soon, and one that was revoked.
fn two_to_tell(deployment: &Deployment) {
    // Whoever is to be told is told from now on.
    send_webhooks(deployment);
    let _ = deployment.issue_until(deployment.bob, "ends soon", START + 3 * DAY);
    let revoked = deployment.issue(deployment.bob, "revoked");
    deployment.patrol.revoke(&operator(), id(&revoked)).unwrap();
}

#[test]
fn what_was_taken_and_not_sent_before_a_crash_is_lost_and_not_sent_by_anybody() {
    let receiver = Receiver::new(Answer::Status(200));
    let deployment = telling(&receiver.url());
    two_to_tell(&deployment);
    let another = deployment.another();
    {
        let lock = ServeLock::take(deployment.path()).unwrap();
        let mut reader = NoticeReader::new(NoticeChannel::Webhook);
        let mut taken = 0;
        for _ in 0..3 {
            for notice in deployment.patrol.next_notices(&lock, &mut reader, 10).unwrap() {
                assert!(
                    deployment
                        .patrol
                        .take_notice(NoticeChannel::Webhook, &notice)
                        .unwrap()
                );
                // By nobody else, either, at the same moment.
                assert!(!another.take_notice(NoticeChannel::Webhook, &notice).unwrap());
                taken += 1;
            }
        }
        assert_eq!(taken, 2);
    }
    // It has crashed here. What comes after it starts from what is on disk.
    assert_eq!(
        super::support::send_all(&deployment.another(), NoticeChannel::Webhook),
        0
    );
    assert_eq!(send_webhooks(&deployment), 0);
    assert!(receiver.all().is_empty());
    assert_eq!(outcomes(&deployment), [None, None]);
}

#[test]
fn a_receiver_that_is_down_is_told_when_it_is_up() {
    let address = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .unwrap()
        .local_addr()
        .unwrap();
    let deployment = telling(&format!("http://{address}/hook"));
    two_to_tell(&deployment);
    let lock = ServeLock::take(deployment.path()).unwrap();
    let mut post = Post::new(NoticeChannel::Webhook);
    assert_eq!(post.round(&deployment.patrol, &lock, &|| false), 0);
    assert!(outcomes(&deployment).is_empty(), "given back");

    let receiver = Receiver::at(address, Answer::Status(200));
    assert_eq!(
        post.round(&deployment.patrol, &lock, &|| false),
        0,
        "it is put off"
    );
    let started = Instant::now();
    while receiver.all().len() < 2 {
        post.round(&deployment.patrol, &lock, &|| false);
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(lock);
    assert_eq!(send_webhooks(&deployment), 0);
    assert_eq!(receiver.all().len(), 2);
    assert_eq!(
        outcomes(&deployment),
        [Some("delivered".to_owned()), Some("delivered".to_owned())]
    );
}

#[test]
fn an_answer_that_is_no_yes_is_an_answer() {
    for answer in [Answer::Status(500), Answer::Status(404), Answer::Elsewhere] {
        let receiver = Receiver::new(answer);
        let deployment = telling(&receiver.url());
        two_to_tell(&deployment);
        for _ in 0..4 {
            assert_eq!(send_webhooks(&deployment), 0);
        }
        let all = receiver.all();
        assert_eq!(all.len(), 2, "each once");
        assert!(all.iter().all(|request| request.line == "POST /hook HTTP/1.1"));
        assert_eq!(
            outcomes(&deployment),
            [Some("refused".to_owned()), Some("refused".to_owned())]
        );
        assert_eq!(counted(&deployment), [("refused", 2)]);
    }
}

#[test]
fn a_receiver_that_does_not_answer_is_not_waited_for_for_long_and_not_told_again() {
    let receiver = Receiver::new(Answer::Never);
    let deployment = telling(&receiver.url());
    let _ = deployment.issue_until(deployment.bob, "ends soon", START + 3 * DAY);
    let started = Instant::now();
    assert_eq!(send_webhooks(&deployment), 0);
    assert!(started.elapsed() > Duration::from_secs(9) && started.elapsed() < Duration::from_secs(20));
    assert_eq!(send_webhooks(&deployment), 0);
    assert_eq!(receiver.all().len(), 1);
    assert_eq!(outcomes(&deployment), [Some("unknown".to_owned())]);
    assert_eq!(counted(&deployment), [("unknown", 1)]);
}

/// RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_notice_is_signed_by_the_secret_in_a_file_for_nobody_else() {
    let receiver = Receiver::new(Answer::Status(200));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let write = |mode| {
        let _ = std::fs::remove_file(&path);
        let file = std::fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&path);
        std::io::Write::write_all(&mut file.unwrap(), b"a secret of some length\n").unwrap();
    };
    let deployment = with(NoticeConfig {
        webhook: Some(receiver.url()),
        webhook_secret_file: Some(path.clone()),
        ..NoticeConfig::default()
    });
    let _ = deployment.issue_until(deployment.bob, "\"} X: y\u{202e}", START + 3 * DAY);
    // Without the secret, or where others know it, nothing is sent, and nothing is lost.
    assert_eq!(send_webhooks(&deployment), 0);
    write(0o644);
    assert_eq!(send_webhooks(&deployment), 0);
    assert!(receiver.all().is_empty() && outcomes(&deployment).is_empty());
    write(0o600);
    assert_eq!(send_webhooks(&deployment), 1);
    let counts = counted(&deployment);
    assert_eq!(counts[0], ("delivered", 1));
    assert!(counts[1].0 == "unreachable" && counts[1].1 >= 2, "{counts:?}");

    let [request] = receiver.all().try_into().unwrap();
    let signature = &request.headers["patrol-signature"];
    let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut message = format!("{time}.").into_bytes();
    message.extend_from_slice(&request.body);
    assert_eq!(mac, hmac(b"a secret of some length", &message));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(now.abs_diff(time.parse().unwrap()) < 60);
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(request.headers["user-agent"].starts_with("patrol/"));
}
