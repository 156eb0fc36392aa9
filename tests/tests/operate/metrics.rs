//! `/metrics`, as Prometheus reads it.

use patrol_tests::gateway::wait_for;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::{Connection, Home, get};

/// All series, and their values.
fn scrape(metrics: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(metrics, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let format = answer.header("content-type").unwrap();
    assert_eq!(format, "text/plain; version=0.0.4; charset=utf-8");
    let mut series = BTreeMap::new();
    let mut types = BTreeMap::new();
    for line in answer.body.lines().filter(|line| !line.is_empty()) {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert_eq!(
                types.insert(name.to_owned(), kind.to_owned()),
                None,
                "{name} is declared twice"
            );
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end));
        let family = histogram
            .filter(|family| types.contains_key(*family))
            .unwrap_or(family);
        assert!(types.contains_key(family), "{family} has no type");
        assert!(family.starts_with("patrol_"), "{family}");
        let counter = types[family] == "counter";
        assert_eq!(counter, family.ends_with("_total"), "{family}");
        let before = series.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "{name} is there twice");
    }
    series
}

fn verdicts(series: &BTreeMap<String, f64>, door: &str, kind: &str) -> f64 {
    series[&format!("patrol_verdicts_total{{door=\"{door}\",kind=\"{kind}\"}}")]
}

#[test]
fn what_happened_is_what_is_counted() {
    let home = Home::new("[server]\nmetrics = \"127.0.0.1:0\"\n");
    // Of two tokens, one ends within a week.
    home.program.token("ann", "soon over", "3d");
    let server = home.program.serve();
    let metrics = server.listening("metrics");
    let mut connection = Connection::open(server.address);
    for _ in 0..5 {
        assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    }
    for _ in 0..3 {
        assert_eq!(connection.present("patrol_pat_nonsense").unwrap().status, 401);
    }
    assert_eq!(connection.check(&[]).unwrap().status, 401);
    let two = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")];
    assert_eq!(connection.check(&two).unwrap().status, 400);
    let call = [("x-tableau-session-token", "patrol_ses_nonsense")];
    assert_eq!(connection.ask("GET /api/v1/anything", &call).unwrap().status, 401);

    let series = scrape(metrics);
    assert_eq!(verdicts(&series, "nginx", "allowed"), 5.0);
    assert_eq!(verdicts(&series, "nginx", "unauthorized"), 4.0);
    assert_eq!(verdicts(&series, "nginx", "bad-request"), 1.0);
    assert_eq!(verdicts(&series, "nginx", "undecided"), 0.0);
    assert_eq!(verdicts(&series, "api", "unauthorized"), 1.0);
    assert_eq!(
        verdicts(&series, "spop", "allowed"),
        0.0,
        "nothing is nothing, not unknown"
    );
    assert_eq!(series["patrol_refusals_total{reason=\"malformed\"}"], 4.0);
    assert_eq!(series["patrol_policy_faults_total{kind=\"timeout\"}"], 0.0);
    assert_eq!(series["patrol_store_outages_total"], 0.0);
    let refused = "patrol_notices_total{channel=\"mail\",outcome=\"refused\"}";
    assert_eq!(series[refused], 0.0);

    // Each verdict is in one bucket, and in all that are wider.
    let bucket =
        |le: &str| series[&format!("patrol_verdict_duration_seconds_bucket{{door=\"nginx\",le=\"{le}\"}}")];
    let bounds = [
        "0.000005", "0.00001", "0.00002", "0.00005", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005",
        "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "+Inf",
    ];
    let counts: Vec<_> = bounds.into_iter().map(bucket).collect();
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!(counts.last(), Some(&10.0));
    let sum = series["patrol_verdict_duration_seconds_sum{door=\"nginx\"}"];
    assert!(sum > 0.0 && sum < 60.0, "in seconds: {sum}");

    assert_eq!(series["patrol_connections{listener=\"http\"}"], 1.0);
    assert_eq!(series["patrol_connections{listener=\"metrics\"}"], 1.0);
    let uptime = series["patrol_uptime_seconds"];
    assert!(uptime > 0.0 && uptime < 600.0, "{uptime}");
    let version = format!("patrol_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(series[&version], 1.0);
    let digest = server.announcement["policy"]["digest"].as_str().unwrap();
    assert_eq!(series[&format!("patrol_policy_info{{digest=\"{digest}\"}}")], 1.0);
    assert_eq!(series["patrol_clock_lag_seconds"], 0.0);
    assert_eq!(series["patrol_draining"], 0.0);

    // Nobody is named.
    let labels: Vec<_> = series
        .keys()
        .flat_map(|name| name.split('"').skip(1).step_by(2))
        .collect();
    for name in [home.id.as_str(), "nightly", "soon over", "ann", "acme"] {
        assert!(!labels.iter().any(|label| label.contains(name)), "{name}");
    }

    let series = wait_for("tokens to be counted", || {
        Some(scrape(metrics)).filter(|series| series.contains_key("patrol_tokens_live"))
    });
    assert_eq!(series["patrol_tokens_live"], 2.0);
    assert_eq!(series["patrol_tokens_near_expiry"], 1.0);
    assert_eq!(series["patrol_sessions_open"], 0.0);

    drop(connection);
    wait_for("the connection to be gone, and all to be written", || {
        let series = scrape(metrics);
        let zero = [
            "patrol_connections{listener=\"http\"}",
            "patrol_store_uses_waiting",
            "patrol_audit_events_waiting",
            "patrol_flush_lag_seconds",
        ];
        zero.iter().all(|name| series[*name] == 0.0).then_some(())
    });
}

#[test]
fn what_cannot_be_written_is_seen_to_wait() {
    let home = Home::new("[server]\nmetrics = \"127.0.0.1:0\"\n");
    let server = home.program.serve();
    let metrics = server.listening("metrics");
    let mut connection = Connection::open(server.address);
    // So that the token has been read, and the database is not needed for it.
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    let raw = rusqlite::Connection::open(home.program.data().join("patrol.db")).unwrap();
    raw.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(connection.present(&home.secret).unwrap().status, 200);
    assert_eq!(connection.present("nonsense").unwrap().status, 401);
    let series = wait_for("the lag to grow", || {
        Some(scrape(metrics)).filter(|series| series["patrol_flush_lag_seconds"] > 1.0)
    });
    assert_eq!(series["patrol_store_uses_waiting"], 1.0);
    assert_eq!(series["patrol_audit_events_waiting"], 1.0);
    raw.execute_batch("ROLLBACK").unwrap();
    wait_for("it to be written", || {
        (scrape(metrics)["patrol_flush_lag_seconds"] == 0.0).then_some(())
    });
}

#[test]
fn reloads_are_counted_and_the_numbers_are_on_their_own_listener_only() {
    let home = Home::new("[server]\nmetrics = \"127.0.0.1:0\"\n");
    let server = home.program.serve();
    let metrics = server.listening("metrics");
    assert_eq!(get(server.address, "/metrics").status, 404);
    assert_eq!(get(metrics, "/check/nginx").status, 404);
    let reloads =
        |result: &str| scrape(metrics)[&format!("patrol_config_reloads_total{{result=\"{result}\"}}")];
    assert_eq!((reloads("accepted"), reloads("refused")), (0.0, 0.0));
    server.signal("-HUP");
    wait_for("a reload", || (reloads("accepted") == 1.0).then_some(()));
    home.configure("[nonsense]");
    server.signal("-HUP");
    wait_for("another", || (reloads("refused") == 1.0).then_some(()));
    assert_eq!(reloads("accepted"), 1.0);
}

#[test]
fn there_is_no_such_listener_unless_it_is_asked_for() {
    let home = Home::new("");
    let server = home.program.serve();
    assert!(
        server.announcement.get("metrics").is_none(),
        "{}",
        server.announcement
    );
}
