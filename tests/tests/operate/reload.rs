//! SIGHUP: the configuration is read again.

use crate::support::{Answer, Connection, Home, PATIENT, ends};

const IN_FORCE: &str = "the configuration was read again and is in force";
const AS_BEFORE: &str = "the configuration stays as it was before";

fn realm(answer: Option<Answer>) -> String {
    let answer = answer.expect("the connection stays open");
    assert_eq!(answer.status, 401, "{answer:?}");
    answer.header("www-authenticate").unwrap().to_owned()
}

#[test]
fn a_changed_configuration_holds_for_the_next_request_of_an_open_connection() {
    let home = Home::new("[http]\nrealm = \"old\"\n");
    let mut server = home.program.serve();
    let mut connection = Connection::open(server.address);
    assert_eq!(realm(connection.check(&[])), "Bearer realm=\"old\"");
    home.configure(&format!(
        "{PATIENT}[http]\nrealm = \"new\"\nchallenge = \"basic\"\n"
    ));
    assert_eq!(
        realm(connection.check(&[])),
        "Bearer realm=\"old\"",
        "not before it is told"
    );
    server.signal("-HUP");
    home.logged(IN_FORCE, 1);
    assert_eq!(
        realm(connection.check(&[])),
        "Basic realm=\"new\", charset=\"UTF-8\""
    );
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    drop(connection);
    server.signal("-TERM");
    ends(&mut server);
}

#[test]
fn what_reaches_the_policy_changes_too_r5() {
    let home = Home::new("");
    let server = home.program.serve();
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    // Audiences are part of the configuration, and of the verdict (R12).
    home.configure(&format!("{PATIENT}[http]\naudience = \"other\"\n"));
    server.signal("-HUP");
    home.logged(IN_FORCE, 1);
    assert_eq!(connection.present(&home.secret).unwrap().status, 401);
    home.configure(PATIENT);
    server.signal("-HUP");
    home.logged(IN_FORCE, 2);
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_logged_with_its_lines() {
    let home = Home::new("[http]\nrealm = \"old\"\n");
    let server = home.program.serve();
    let mut connection = Connection::open(server.address);
    let wrong = [
        ("[http]\nrealm = \"new\"\naudiense = \"x\"\n", "audiense"),
        ("[http]\nrealm = \"new\"\n\n\n[limits\n", "line 7"),
        (
            "[http]\nrealm = \"new\"\naudience = \"a b\"\n",
            "line 5, column 12: http.audience",
        ),
    ];
    for (round, (configuration, told)) in wrong.into_iter().enumerate() {
        home.configure(&format!("{PATIENT}{configuration}"));
        server.signal("-HUP");
        let log = home.logged(AS_BEFORE, round + 1);
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(
            errors.iter().any(|line| line.contains(told)),
            "{told}: {errors:#?}"
        );
        if round == 0 {
            assert!(errors.iter().any(|line| line.contains("line 5")), "{errors:#?}");
        }
        assert_eq!(realm(connection.check(&[])), "Bearer realm=\"old\"");
    }
    // All of them at once, each with its line.
    home.configure(&format!(
        "{PATIENT}[http]\nrealm = \"new\"\nrelm = 1\n[policy.x]\n[server]\ndrain = \"soon\"\nmetrics = \"0.0.0.0:1\"\n"
    ));
    let before = home.log().len();
    server.signal("-HUP");
    let log = home.logged(AS_BEFORE, 4);
    for line in ["line 5", "line 6", "line 8"] {
        let told = |logged: &str| logged.contains("ERROR") && logged.contains(line);
        assert!(log[before..].lines().any(told), "{line}: {}", &log[before..]);
    }
    assert_eq!(realm(connection.check(&[])), "Bearer realm=\"old\"");
    // A listener that other machines could reach is refused as it would be at the start.
    home.configure(&format!("{PATIENT}[server]\nmetrics = \"0.0.0.0:1\"\n"));
    server.signal("-HUP");
    assert!(home.logged(AS_BEFORE, 5).contains("0.0.0.0:1"));
    std::fs::remove_file(home.program.configuration()).unwrap();
    server.signal("-HUP");
    home.logged(AS_BEFORE, 6);
    assert_eq!(realm(connection.check(&[])), "Bearer realm=\"old\"");
    assert_eq!(home.log().matches(IN_FORCE).count(), 0);
    // And then a right one.
    home.configure(&format!("{PATIENT}[http]\nrealm = \"new\"\n"));
    server.signal("-HUP");
    home.logged(IN_FORCE, 1);
    assert_eq!(realm(connection.check(&[])), "Bearer realm=\"new\"");
}

#[test]
fn what_takes_a_restart_is_named() {
    let home = Home::new("");
    let server = home.program.serve();
    home.configure("[server]\ngrpc = \"127.0.0.1:1\"\ndrain = \"1s\"\n[policy]\ndeadline = \"6s\"\n");
    server.signal("-HUP");
    let log = home.logged("takes a restart", 2);
    let named: Vec<_> = log
        .lines()
        .filter(|line| line.contains("takes a restart"))
        .collect();
    assert!(named.iter().all(|line| line.contains("WARN")), "{named:#?}");
    assert!(
        named[0].contains("server.grpc") && named[1].contains("policy.deadline"),
        "{named:#?}"
    );
    assert_eq!(named.len(), 2);
    assert_eq!(crate::support::get(server.address, "/readyz").status, 200);
}
