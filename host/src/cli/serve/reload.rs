//! Reading the configuration again while the server runs.

use super::{ServeArgs, Session};
use crate::cli::failure;
use crate::config::{Config, Server};
use crate::gate::Gate;

/// Puts the configuration in force as it now is in its file, for all requests that come from now on. A file with a
/// mistake changes nothing, and each mistake is logged.
pub(super) fn reload(session: &Session, args: &ServeArgs, gate: &Gate, started: &Config) {
    let reloaded = session.config().and_then(|config| {
        let config = args.over(config);
        config.server.check()?;
        let restart = needs_restart(started, &config);
        gate.reconfigure(config)?;
        Ok(restart)
    });
    gate.meters().reloaded(reloaded.is_ok());
    match reloaded {
        Ok(restart) => {
            tracing::info!("the configuration was read again and is in force");
            for key in restart {
                tracing::warn!(
                    key,
                    "this setting has changed, and takes a restart to be in force"
                );
            }
        }
        Err(error) => {
            for mistake in failure::mistakes(&error) {
                tracing::error!(mistake, "the configuration cannot be used");
            }
            tracing::error!("the configuration stays as it was before");
        }
    }
}

/// What has changed since the start and cannot be put in force.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    // Named one by one, so that a new setting of a server is thought of here.
    let Server {
        listen,
        grpc,
        spop,
        fastcgi,
        metrics,
        drain: _,
        drain_notice: _,
        allow_non_loopback,
    } = &started.server;
    let (server, policy, before) = (&now.server, &now.policy, &started.policy);
    let changed = [
        ("server.listen", *listen != server.listen),
        ("server.grpc", *grpc != server.grpc),
        ("server.spop", *spop != server.spop),
        ("server.fastcgi", *fastcgi != server.fastcgi),
        ("server.metrics", *metrics != server.metrics),
        (
            "server.allow_non_loopback",
            *allow_non_loopback != server.allow_non_loopback,
        ),
        ("policy.isolation", before.isolation() != policy.isolation()),
        ("policy.deadline", before.deadline != policy.deadline),
        ("policy.memory", before.memory != policy.memory),
        (
            "policy.table_elements",
            before.table_elements != policy.table_elements,
        ),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IsolationName;
    use crate::time::Millis;

    #[test]
    fn what_takes_a_restart_is_named() {
        let started = Config::default();
        let mut now = started.clone();
        now.http.audience = "other".to_owned();
        now.server.drain = Millis(1);
        now.policy.warm_max_calls = 7;
        assert!(
            needs_restart(&started, &now).is_empty(),
            "not while instances are fresh"
        );
        now.server.metrics = Some(now.server.listen);
        now.policy.deadline = Millis(1);
        now.policy.table_elements = 7;
        now.policy.isolation = IsolationName::Warm;
        let named = needs_restart(&started, &now);
        assert_eq!(
            named,
            [
                "server.metrics",
                "policy.isolation",
                "policy.deadline",
                "policy.table_elements"
            ]
        );
    }
}
