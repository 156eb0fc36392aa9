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
mod policy;
mod review;
mod second_factor;
mod security;
mod setup;
mod sign_in;
mod tokens;
mod users;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;

use patrol::config::Config;
use patrol::gate::{Gate, Meters};
use patrol::http::{router, serve};
use patrol::service::{Caller, UserRef};
use patrol_policy::Secret;
use patrol_tests::deployment::Deployment;
use patrol_tests::web::Browser;
use tokio::sync::oneshot;

/// The password of all users.
const PASSWORD: &str = "correct horse battery";

/// A deployment that is served; `alice`, an administrator, and `bob` have a password.
struct Site {
    deployment: Deployment,
    server: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let gate = Arc::new(Gate::new(Arc::clone(&deployment.patrol), Meters::default()).unwrap());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let told = async {
                // Dropping the sender is a word as well.
                let _ = told.await;
            };
            runtime.block_on(serve(router(gate), listener, told)).unwrap();
        });
        Self {
            deployment,
            server,
            shutdown: Some(shutdown),
            thread: Some(thread),
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

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the listener failed");
        }
    }
}
