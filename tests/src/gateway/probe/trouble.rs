//! Patrol away, frozen or restarted, and what ends while requests come in.

use std::time::{Duration, Instant};

use super::{Form, Gateway, World};
use crate::gateway::client::{Hammer, Shot};
use crate::gateway::wait_for;

/// Opening a connection for each question costs more than the question.
pub fn connections_to_patrol_are_used_again<G: Gateway>() {
    if !G::WAYS.keeps_connections {
        println!("{} opens a connection for each question", G::NAME);
        return;
    }
    let Some((world, taps)) = World::<G>::build(|patrol| patrol.serve_tapped()) else {
        return;
    };
    let token = world.patrol.token("ann", "one after the other", "30d");
    let before = world.upstream.requests();
    let client = Hammer::start(world.gateway.url("/thing"), &token.secret);
    wait_for("requests to be let in", || {
        (world.upstream.requests() > before + 200).then_some(())
    });
    let asked = client.stop().len();
    // Each worker of a gateway has its own, and some open one ahead.
    let opened: usize = taps.iter().map(|tap| tap.connections().len()).sum();
    assert!(
        (1..=20).contains(&opened),
        "{opened} connections for {asked} questions"
    );
}

/// Fail closed: no verdict, no way in.
pub fn without_patrol_nobody_comes_in<G: Gateway>() {
    let Some(mut world) = World::<G>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "through thick and thin", "30d");
    let bearer = Form::Bearer.arguments(&token.secret);
    assert_eq!(world.bearer(&token.secret).status, 200);
    let before = world.upstream.requests();

    world.server.kill();
    for arguments in [&bearer[..], &[]] {
        for path in ["/thing", "/open/x", "/"] {
            let begun = Instant::now();
            let answer = world.ask_once(path, arguments);
            assert!(G::WAYS.undecided.contains(&answer.status), "{answer:?}");
            assert!(
                begun.elapsed() < G::WAYS.patience,
                "{path}: {:?}",
                begun.elapsed()
            );
        }
    }
    assert_eq!(world.upstream.requests(), before, "the service was reached");

    // It comes back by itself.
    world.server = world.patrol.serve();
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.refuses("nonsense");
}

/// Sockets stay open, and nothing comes: what an overloaded or stopped machine looks like.
pub fn a_patrol_that_does_not_answer_lets_nobody_in_and_holds_nobody_up<G: Gateway>() {
    let Some(mut world) = World::<G>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "patience", "30d");
    let bearer = Form::Bearer.arguments(&token.secret);
    assert_eq!(world.bearer(&token.secret).status, 200);
    let before = world.upstream.requests();

    world.server.freeze();
    // Over the connection that is there, and over new ones: all at once, since some gateways wait for long.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let begun = Instant::now();
                let answer = world.ask_once("/thing", &bearer);
                let took = begun.elapsed();
                assert!(G::WAYS.undecided.contains(&answer.status), "{answer:?}");
                assert!(took < G::WAYS.patience, "{took:?}");
            });
        }
    });
    assert_eq!(world.upstream.requests(), before, "the service was reached");

    world.server.thaw();
    assert_eq!(world.bearer(&token.secret).status, 200);
    world.refuses("nonsense");
}

/// Nobody is let in wrongly at any moment of it, and the good are let in again without anybody's doing.
pub fn a_restart_under_load_lets_nobody_in_wrongly<G: Gateway>() {
    let Some(mut world) = World::<G>::new() else {
        return;
    };
    let [good, dead] = ["good", "dead"].map(|name| world.patrol.token("ann", name, "30d"));
    assert_eq!(world.bearer(&dead.secret).status, 200);
    let url = world.gateway.url("/thing");
    let start = |secret: &str| [(); 2].map(|()| Hammer::start(url.clone(), secret));
    let good_clients = start(&good.secret);
    wait_for("requests to be let in", || {
        (world.upstream.requests() > 20).then_some(())
    });

    // In order, then without warning. What is revoked while Patrol is away is revoked when it is back.
    assert!(world.server.terminate().success(), "{}", world.server.log());
    world.patrol.json(&["token", "revoke", &dead.id]);
    let bad_clients = [start(&dead.secret), start("nonsense")];
    world.server = world.patrol.serve();
    let resumed = |world: &World<G>| {
        let before = world.upstream.requests();
        wait_for("requests to be let in again", || {
            (world.upstream.requests() > before + 20).then_some(())
        });
    };
    resumed(&world);
    world.server.kill();
    std::thread::sleep(Duration::from_millis(200));
    world.server = world.patrol.serve();
    resumed(&world);
    let back = Instant::now();
    std::thread::sleep(Duration::from_millis(300));

    let shots = |clients: [Hammer; 2]| clients.into_iter().flat_map(Hammer::stop).collect::<Vec<_>>();
    let good_shots = shots(good_clients);
    let known = |shot: &Shot| shot.status == 200 || G::WAYS.undecided.contains(&shot.status);
    let odd: Vec<_> = good_shots.iter().filter(|shot| !known(shot)).collect();
    assert!(odd.is_empty(), "a good token: {odd:?}");
    let later = good_shots.iter().filter(|shot| shot.begun > back);
    assert!(
        later.clone().any(|shot| shot.status == 200),
        "service does not resume"
    );
    let bad_shots: Vec<_> = bad_clients.into_iter().flat_map(shots).collect();
    let known = |shot: &&Shot| shot.status == 401 || G::WAYS.undecided.contains(&shot.status);
    let odd: Vec<_> = bad_shots.iter().filter(|shot| !known(shot)).collect();
    assert!(odd.is_empty(), "a bad token: {odd:?}");
    assert!(
        bad_shots.iter().any(|shot| shot.status == 401),
        "nobody was refused"
    );
    let undecided = good_shots.iter().filter(|shot| shot.status != 200).count();
    println!(
        "{}: across two restarts {} of {} requests with a good token had no verdict",
        G::NAME,
        undecided,
        good_shots.len()
    );
}

/// R8: from the moment that `patrol token revoke` returned.
pub fn under_load_no_request_begun_after_a_revocation_is_let_in<G: Gateway>() {
    let Some(world) = World::<G>::new() else { return };
    for round in 0..3 {
        let name = format!("round {round}");
        let token = world.patrol.token("ann", &name, "30d");
        let clients = [(); 4].map(|()| Hammer::start(world.gateway.url("/"), &token.secret));
        let before = world.upstream.requests();
        wait_for("requests to be let in", || {
            (world.upstream.requests() > before + 50).then_some(())
        });

        let called = Instant::now();
        world.patrol.json(&["token", "revoke", &token.id]);
        let revoked = Instant::now();
        let after = world.bearer(&token.secret).status;
        let shots: Vec<_> = clients.into_iter().flat_map(Hammer::stop).collect();

        assert_eq!(after, 401);
        let late: Vec<_> = shots.iter().filter(|shot| shot.begun > revoked).collect();
        assert!(
            late.iter().any(|shot| shot.status == 401),
            "nobody asked afterwards"
        );
        assert!(
            late.iter().all(|shot| shot.status != 200),
            "let in after the revocation: {late:?}"
        );

        let ms = |at: Instant| {
            let since = at.saturating_duration_since(revoked).as_secs_f64();
            1e3 * (since - revoked.saturating_duration_since(at).as_secs_f64())
        };
        let refused = shots
            .iter()
            .filter(|shot| shot.status == 401)
            .map(|shot| shot.ended);
        let let_in = shots
            .iter()
            .filter(|shot| shot.status == 200)
            .map(|shot| shot.begun);
        println!(
            "{}: `patrol token revoke` took {:.1} ms; since its return: last request let in begun {:+.1} ms, first \
             refusal received {:+.1} ms; {} requests, {} of them afterwards",
            G::NAME,
            1e3 * (revoked - called).as_secs_f64(),
            ms(let_in.max().expect("some were let in")),
            ms(refused.min().expect("some were refused")),
            shots.len(),
            late.len(),
        );
    }
}
