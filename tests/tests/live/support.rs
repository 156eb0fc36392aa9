//! A data directory with a token and staged releases, and a server on it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use patrol::DAY;
use patrol::release::{Release, Shelf, hex};
use patrol_tests::program::{Program, Run, Server};
use patrol_tests::variant::{AUTHENTICATE, Turn, turning};
use patrol_tests::wasm::noted;
use patrol_tests::wire;
use serde_json::Value;

/// The program with a signing key that its configuration trusts, a tenant `acme`, its user `ann` and a token of hers.
pub struct Home {
    pub program: Program,
    pub secret: String,
    directory: tempfile::TempDir,
    configuration: String,
}

impl Home {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these settings of the policy besides.
    pub fn with(policy: &str) -> Self {
        let program = Program::new();
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("release.key");
        let public = program.run(&["policy", "keygen", key.to_str().unwrap()]).json();
        let configuration = format!(
            "[server]\nmetrics = \"127.0.0.1:0\"\n[limits]\nfailures_per_address = 0\nfailures_per_token = 0\n[policy]\ntrusted_keys = [{}]\n",
            public["publicKey"]
        );
        let home = Self {
            program,
            secret: String::new(),
            directory,
            configuration,
        };
        home.configure(&format!("deadline = \"5s\"\n{policy}"));
        home.json(&["tenant", "create", "acme"]);
        home.json(&[
            "user", "create", "--tenant", "acme", "--name", "ann", "--role", "admin",
        ]);
        Self {
            secret: home.token("nightly"),
            ..home
        }
    }

    /// Replaces the settings of the policy, but for the key.
    pub fn configure(&self, policy: &str) {
        let text = format!("{}{policy}\n", self.configuration);
        fs::write(self.program.configuration(), text).unwrap();
    }

    /// Makes a token of ann's.
    pub fn token(&self, name: &str) -> String {
        let made = self.program.token("ann", name, "90d");
        made["secret"].as_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command that must go well.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        self.program.json(args)
    }

    /// Runs a command that must fail; its exit code, and what it said.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> (i32, String) {
        let before = self.program.said().len();
        let Run { code, out } = self.program.run(args);
        let said = self.program.said().split_off(before);
        let code = code.unwrap();
        assert_ne!(code, 0, "{args:?}: {out}");
        // The server's log is in the same file.
        let line = said.lines().find(|line| line.starts_with("{\"error\":"));
        let error: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{said}"))).unwrap();
        (code, error["error"]["message"].as_str().unwrap().to_owned())
    }

    /// Makes a signed release of a component.
    pub fn sign(&self, component: &[u8], number: u32) -> PathBuf {
        let (from, to) = (
            self.path("policy.wasm"),
            self.path(&format!("release-{number}.patrol")),
        );
        fs::write(&from, component).unwrap();
        let _ = fs::remove_file(&to);
        let (version, number) = (format!("1.{number}.0"), number.to_string());
        let key = self.path("release.key");
        self.json(&[
            "policy",
            "sign",
            from.to_str().unwrap(),
            "--name",
            "tried",
            "--policy-version",
            &version,
            "--number",
            &number,
            "--key",
            key.to_str().unwrap(),
            "--output",
            to.to_str().unwrap(),
        ]);
        to
    }

    /// Signs and stages a component; the release's id.
    pub fn stage(&self, component: &[u8], number: u32) -> String {
        let file = self.sign(component, number);
        let staged = self.json(&["policy", "stage", file.to_str().unwrap()]);
        staged["id"].as_str().unwrap().to_owned()
    }

    /// Puts a release on the shelf as if it had been tried: what a policy does that gets past the trial. Its id.
    pub fn force(&self, component: &[u8], number: u32) -> String {
        let release = Release::parse(&fs::read(self.sign(component, number)).unwrap()).unwrap();
        let data = self.program.data();
        let shelf = Shelf::of(&data);
        shelf.make().unwrap();
        shelf.keep(&release).unwrap();
        let insert =
            "INSERT INTO release (digest, name, version, number, staged) VALUES (?1, 'tried', '1', ?2, 1)";
        let database = rusqlite::Connection::open(data.join("patrol.db")).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        database.execute(insert, (release.digest(), number)).unwrap();
        hex(&release.digest())
    }

    /// Releases 1 to `count` that decide as the built-in policy does; their ids.
    pub fn releases(&self, count: u8) -> Vec<String> {
        (1..=count)
            .map(|number| self.stage(&noted(number), number.into()))
            .collect()
    }

    /// The component of a release that was staged.
    pub fn component(&self, id: &str) -> String {
        let file = self.program.data().join("releases").join(format!("{id}.patrol"));
        let inspected = self.json(&["policy", "inspect", file.to_str().unwrap()]);
        inspected["manifest"]["component"].as_str().unwrap().to_owned()
    }

    /// Audit events of a type, oldest first.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.json(&["audit", "list", "--type", kind]);
        events.as_array().unwrap().clone()
    }

    /// What `patrol policy list` says of a release.
    pub fn listed(&self, id: &str) -> Value {
        let listed = self.json(&["policy", "list"]);
        let row = listed.as_array().unwrap().iter().find(|row| row["id"] == id);
        row.unwrap_or_else(|| panic!("{id} in {listed}")).clone()
    }
}

/// The built-in policy, but for the verification of tokens on these days: they are not those that a trial knows.
pub fn turned(turn: Turn) -> Vec<u8> {
    turning(AUTHENTICATE, now() - DAY, 2 * DAY, turn)
}

/// Now, ms.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// The status of a check with a token.
pub fn check(server: &Server, secret: &str) -> u16 {
    let bearer = format!("Bearer {secret}");
    wire::check(server.address, &[("Authorization", &bearer)]).status
}

/// The lines of `/metrics`.
pub fn metrics(server: &Server) -> Vec<String> {
    let text = get(server.listening("metrics"), "/metrics").body;
    text.lines().map(str::to_owned).collect()
}

/// The value of a series.
pub fn metric(server: &Server, series: &str) -> Option<f64> {
    let lines = metrics(server);
    let mut values = lines.iter().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        (name == series).then(|| value.parse().unwrap())
    });
    let value = values.next();
    assert_eq!(values.next(), None, "{series} is there twice");
    value
}

/// The components that decide, by the metrics.
pub fn deciding(server: &Server) -> Vec<String> {
    let lines = metrics(server);
    let digests = lines.iter().filter_map(|line| {
        let rest = line.strip_prefix("patrol_policy_info{digest=\"")?;
        Some(rest.strip_suffix("\"} 1").unwrap().to_owned())
    });
    digests.collect()
}

pub fn get(server: SocketAddr, path: &str) -> wire::Answer {
    wire::send(server, &format!("GET {path}"), &[], b"").unwrap()
}
