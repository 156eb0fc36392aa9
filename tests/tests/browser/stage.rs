//! The program as people run it, nginx before a service, and a browser.

use patrol_tests::browser::{Chromium, have_chromium};
use patrol_tests::gateway::client::{Answer, curl};
use patrol_tests::gateway::nginx::{Nginx, Site};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::gateway::upstream::Upstream;
use patrol_tests::gateway::{Running, have};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

/// Ends in this order.
pub struct Stage {
    pub chromium: Chromium,
    nginx: Nginx,
    _upstream: Upstream,
    server: Running,
    pub patrol: Patrol,
}

impl Stage {
    /// With `ann`, an administrator, and `bob`; none where the programs for it are missing.
    pub fn new() -> Option<Self> {
        Self::programs().then(|| {
            let patrol = Patrol::new("[limits]\npasswords_per_user = 0\n");
            for (name, roles) in [("ann", &["admin"][..]), ("bob", &[])] {
                let id = patrol.user(name, roles);
                patrol.set_password(&id, PASSWORD);
            }
            Self::before(patrol)
        })
    }

    /// With nobody.
    pub fn empty() -> Option<Self> {
        Self::programs().then(|| Self::before(Patrol::empty("", &[])))
    }

    fn programs() -> bool {
        have_chromium() && have(&["nginx", "curl"])
    }

    fn before(patrol: Patrol) -> Self {
        let server = patrol.serve();
        let upstream = Upstream::start();
        let nginx = Nginx::start(&patrol, &upstream, Site::default());
        let chromium = Chromium::open(&format!("http://127.0.0.1:{}", patrol.port()));
        Self {
            chromium,
            nginx,
            _upstream: upstream,
            server,
            patrol,
        }
    }

    /// The path of the link with which the program says that the first administrator is made.
    pub fn first_link(&self) -> String {
        let log = self.server.log();
        let (_, link) = log.split_once("/ui/setup?link=").expect("a link");
        let secret = link.split_whitespace().next().expect("it has a secret");
        format!("/ui/setup?link={secret}")
    }

    /// With somebody signed in, at their tokens.
    pub fn with(user: &str) -> Option<Self> {
        let stage = Self::new()?;
        stage.chromium.goto("/");
        stage.sign_in(user);
        stage.chromium.arrive("/ui/tokens");
        Some(stage)
    }

    /// Fills in the form that is there.
    #[track_caller]
    pub fn sign_in(&self, user: &str) {
        self.chromium.arrive("/ui/sign-in");
        self.chromium.fill("User name", user);
        self.chromium.fill("Password", PASSWORD);
        self.chromium.click("Sign in");
    }

    /// Asks for something at nginx with a secret.
    pub fn use_through_nginx(&self, secret: &str) -> Answer {
        let header = format!("Authorization: Bearer {secret}");
        patrol_tests::gateway::client::decided(&["--header", &header, &self.nginx.url("/thing")])
    }

    /// Asks for something at nginx with nothing.
    pub fn refused_without(&self) -> Answer {
        curl(&[&self.nginx.url("/thing")])
    }

    /// Opens the dialog and sends it with this name; it is then what the answer says.
    #[track_caller]
    pub fn ask_for_token(&self, name: &str) {
        self.chromium.follow("Create Token");
        self.chromium.fill("Name", name);
        self.chromium.press("Create Token");
    }

    /// Makes a token, and copies its secret.
    #[track_caller]
    pub fn make_token(&self, name: &str) -> String {
        self.ask_for_token(name);
        let secret = self.chromium.value("Secret of");
        self.chromium.allow_clipboard();
        self.chromium.press("Copy Secret");
        self.chromium.see("Copied.");
        self.chromium.follow("Done");
        self.chromium
            .wait_until("the list", "return !document.querySelector('dialog')");
        self.chromium.arrive("/ui/tokens");
        self.chromium.see(name);
        secret
    }

    /// Whether this is anywhere in the page, seen or not.
    pub fn holds(&self, text: &str) -> bool {
        let body =
            "const fields = [...document.querySelectorAll('input, textarea')].map(field => field.value);
            return (document.documentElement.outerHTML + fields.join(' ')).includes(arguments[0]);";
        self.chromium.script(body, &[text.into()]) == true
    }
}
