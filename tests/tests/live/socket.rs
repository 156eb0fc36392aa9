//! Who may ask at the control socket, and what becomes of clients that do not behave.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use patrol::control::NAME;
use patrol_tests::gateway::wait_for;
use patrol_tests::program::ended;
use serde_json::Value;

use crate::support::{Home, check, deciding};

const STATUS: &[u8] =
    b"{\"protocol\":1,\"program\":\"test\",\"caller\":\"test\",\"ask\":{\"verb\":\"status\"}}\n";

fn connect(home: &Home) -> UnixStream {
    let stream = UnixStream::connect(home.program.data().join(NAME)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// What comes back for these bytes.
fn asked(home: &Home, request: &[u8]) -> Value {
    let mut stream = connect(home);
    // It may be refused before all of it was read.
    let _ = stream.write_all(request);
    answer(stream)
}

fn answer(stream: UnixStream) -> Value {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn mistake(answer: &Value) -> &str {
    assert_eq!(answer["outcome"]["failed"]["exit"], 2, "{answer}");
    answer["outcome"]["failed"]["message"].as_str().unwrap()
}

#[test]
fn junk_is_answered_with_what_is_wrong_and_disturbs_nobody() {
    let home = Home::new();
    let server = home.program.serve();
    let wrong: [(&[u8], &str); 7] = [
        (b"\n", "the request is none"),
        (b"status\n", "the request is none"),
        (b"\xff\xfe\0\n", "the request is none"),
        (b"{}\n", "missing field"),
        (
            b"{\"protocol\":1,\"program\":\"7.7.7\",\"caller\":\"x\",\"ask\":{\"verb\":\"dance\"}}\n",
            "unknown variant `dance`",
        ),
        (
            b"{\"protocol\":9,\"program\":\"7.7.7\",\"caller\":\"x\",\"ask\":{\"verb\":\"status\"}}\n",
            "control protocol 1, the client patrol 7.7.7 with 9",
        ),
        (&[b'x'; 1 << 20], "longer than"),
    ];
    for (request, why) in wrong {
        let answer = asked(&home, request);
        let said = mistake(&answer);
        assert!(said.contains(why), "{said}");
    }
    // Half a request, and the end.
    let mut stream = connect(&home);
    stream.write_all(&STATUS[..20]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(mistake(&answer(stream)).contains("not a whole line"));

    let status = asked(&home, STATUS);
    assert_eq!(status["protocol"], 1, "{status}");
    assert_eq!(
        status["outcome"]["done"]["governing"][0]["release"],
        Value::Null,
        "{status}"
    );
    assert_eq!(check(&server, &home.secret), 200);
    server.stop();
}

#[test]
fn slow_clients_are_given_up_and_keep_nobody_waiting_for_long() {
    let home = Home::new();
    let server = home.program.serve();
    // More than are attended to at once.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(&home);
            stream.write_all(b"{").unwrap();
            stream
        })
        .collect();
    let status = asked(&home, STATUS);
    assert!(status["outcome"]["done"].is_object(), "{status}");
    for stream in slow {
        let answer = answer(stream);
        let said = mistake(&answer);
        assert!(said.contains("no request came"), "{said}");
    }
    server.stop();
}

#[test]
fn another_user_is_turned_away_even_where_the_file_lets_them_in() {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let dropped = Command::new("setpriv").args(nobody).arg("true").status();
    if !dropped.is_ok_and(|status| status.success()) {
        // Only root can be somebody else.
        return;
    }
    let home = Home::new();
    let server = home.program.serve();
    let data = home.program.data();
    let socket = data.join(NAME);
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    let ask = |who: &[&str]| {
        // perl, since every Debian has it where anybody can run it.
        let script = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die; $SIG{PIPE} = 'IGNORE';
                      if (!connect(S, sockaddr_un($ARGV[0]))) { print 'no entry'; exit }
                      syswrite(S, $ARGV[1]); my $line = <S>; print $line // 'nothing';";
        let mut command = Command::new("setpriv");
        command.args(who).args(["perl", "-e", script]);
        command.arg(&socket).arg(std::str::from_utf8(STATUS).unwrap());
        let run = ended(command.stdout(Stdio::piped()).spawn().unwrap());
        assert_eq!(run.code, Some(0), "{}", run.out);
        run.out.trim().to_owned()
    };
    assert_eq!(ask(&nobody), "no entry");
    // With every door open, there is still the kernel's word for who it is.
    for directory in data.ancestors().take(2) {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(ask(&nobody), "nothing");
    wait_for("the log", || {
        home.program.said().contains("turned away").then_some(())
    });
    let own = ask(&["--reuid=0"]);
    assert!(own.contains("governing"), "{own}");
    server.stop();
}

#[test]
fn a_socket_that_a_killed_server_left_behind_is_replaced() {
    let home = Home::new();
    let ids = home.releases(1);
    home.program.serve().kill();
    assert!(home.program.data().join(NAME).exists());
    // Nobody listens there: the command does it itself.
    home.json(&["policy", "activate", &ids[0]]);
    let server = home.program.serve();
    home.json(&["policy", "rollback"]);
    assert!(
        home.events("rollback_policy")[0]["initiatingUserDisplayName"]
            .as_str()
            .unwrap()
            .contains("control socket")
    );
    server.stop();
    assert!(!home.program.data().join(NAME).exists());
}

#[test]
fn two_who_activate_at_once_are_served_one_after_the_other() {
    let home = Home::new();
    let ids = home.releases(6);
    let server = home.program.serve();
    let clients = ids.iter().map(|id| {
        let args = ["policy", "activate", id, "--allow-downgrade"];
        home.program.command(&args).spawn().unwrap()
    });
    for client in clients.collect::<Vec<_>>() {
        let run = ended(client);
        assert_eq!(run.code, Some(0), "{}", home.program.said());
    }
    let events = home.events("activate_policy");
    assert_eq!(events.len(), ids.len());
    // What runs is what the last one asked for, not what was ready last.
    let last = events.last().unwrap()["details"]["release"].as_str().unwrap();
    assert_eq!(deciding(&server), [home.component(last)]);
    assert_eq!(home.listed(last)["active"], true);
    server.stop();
}

#[test]
fn a_server_that_is_told_to_end_during_an_activation_finishes_it_or_never_began() {
    let home = Home::new();
    let ids = home.releases(2);
    for round in 0..8_u64 {
        let server = home.program.serve();
        let id = &ids[usize::try_from(round % 2).unwrap()];
        let before = home.events("activate_policy").len();
        let compiled = home.program.data().join("compiled");
        if round < 4 {
            // So that there is something to do.
            fs::remove_dir_all(compiled).unwrap();
        }
        let client = home
            .program
            .command(&["policy", "activate", id, "--allow-downgrade"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 15));
        server.stop();
        let run = ended(client);
        let active = home.listed(id)["active"] == true;
        let after = home.events("activate_policy").len();
        // Done by the server, or by the client itself once the server was gone, or not at all; and it is known which.
        match run.code {
            Some(0) => assert!(active && after == before + 1, "round {round}"),
            Some(3) => assert!(
                active && after == before,
                "round {round}: {}",
                home.program.said()
            ),
            Some(1) => assert_eq!(
                active,
                after == before + 1,
                "round {round}: {}",
                home.program.said()
            ),
            other => panic!("round {round}: {other:?}: {}", home.program.said()),
        }
        let mut left = String::new();
        let mut log = fs::File::open(home.program.log()).unwrap();
        log.read_to_string(&mut left).unwrap();
        assert!(!left.contains("panicked"), "{left}");
    }
}
