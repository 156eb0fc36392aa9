//! The pages, from the wire: what a browser without scripts is answered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod audit;
mod charts;
mod gateway;
mod method;
mod oidc;
mod password;
mod policy;
mod review;
mod second_factor;
mod security;
mod setup;
mod sign_in;
mod tokens;
mod users;

use std::net::SocketAddr;
use std::ops::Deref;

use patrol::config::Config;
use patrol::service::{Caller, UserRef};
use patrol_policy::Secret;
use patrol_tests::deployment::Deployment;
use patrol_tests::listener::Listener;
use patrol_tests::web::Browser;

/// The password of all users.
const PASSWORD: &str = "correct horse battery";

/// A deployment that is served; `alice`, an administrator, and `bob` have a password.
struct Site {
    // First, so that it ends before its files do.
    _listener: Listener,
    deployment: Deployment,
    server: SocketAddr,
}

impl Deref for Site {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

impl Site {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let deployment = Deployment::with(config);
        for user in [deployment.alice, deployment.bob] {
            let password = Secret::new(PASSWORD.as_bytes().to_vec());
            let operator = Caller::operator(None);
            deployment
                .patrol
                .set_password(&operator, &UserRef::Id(user), &password)
                .unwrap();
        }
        let listener = Listener::start(&deployment.patrol);
        Self {
            server: listener.address,
            _listener: listener,
            deployment,
        }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.server)
    }

    /// A browser in which this user is signed in.
    #[track_caller]
    fn signed_in(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.sign_in(user, PASSWORD);
        assert_eq!(page.answer.status, 200, "{page:?}");
        assert_eq!(page.path, "/ui/tokens", "{page:?}");
        browser
    }
}
