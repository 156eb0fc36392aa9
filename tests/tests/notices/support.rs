//! A data directory whose notices are sent by hand.

use patrol::config::{Config, NoticeConfig};
use patrol::notices::Post;
use patrol::service::{NoticeChannel, Patrol, ServeLock};
use patrol_tests::deployment::Deployment;

/// A deployment that tells a webhook at this address.
pub fn telling(url: &str) -> Deployment {
    with(NoticeConfig {
        webhook: Some(url.to_owned()),
        ..NoticeConfig::default()
    })
}

pub fn with(notices: NoticeConfig) -> Deployment {
    let mut config = Config {
        notices,
        ..Config::default()
    };
    config.policy.tokens_per_owner = 2_000;
    config.check().unwrap();
    Deployment::with(config)
}

/// Sends all that there is to tell, as a server that has just started would; says how much was delivered.
pub fn send_all(patrol: &Patrol, channel: NoticeChannel) -> usize {
    let lock = ServeLock::take(patrol.data()).unwrap();
    let mut post = Post::new(channel);
    let mut all = 0;
    // Each policy has its tokens searched, and the last round finds that there are no more.
    for _ in 0..2 {
        loop {
            let sent = post.round(patrol, &lock, &|| false);
            all += sent;
            if sent == 0 {
                break;
            }
        }
    }
    all
}

pub fn send_webhooks(deployment: &Deployment) -> usize {
    send_all(&deployment.patrol, NoticeChannel::Webhook)
}

/// What became of the notices that were taken, in order of their taking.
pub fn outcomes(deployment: &Deployment) -> Vec<Option<String>> {
    let raw = deployment.raw();
    let mut query = raw
        .prepare("SELECT outcome FROM notice ORDER BY taken_at, due")
        .unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What was counted of the webhook's notices, but for what was not.
pub fn counted(deployment: &Deployment) -> Vec<(&'static str, u64)> {
    let counts = deployment.patrol.tally().notices();
    let webhook = counts.filter(|(channel, _, count)| *channel == NoticeChannel::Webhook && *count > 0);
    webhook
        .map(|(_, outcome, count)| (outcome.as_str(), count))
        .collect()
}
