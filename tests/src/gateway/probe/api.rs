//! What gateways owe to Patrol's REST API: links in its answers that lead back, and bodies that are bounded.

use serde_json::json;

use super::{Form, Gateway, World};
use crate::gateway::client::curl;
use crate::gateway::patrol::text;
use crate::gateway::{have, wait_for};

/// Whoever asks for a link has reached Patrol by the gateway alone, so it leads there again. Who asked, and from
/// where, is not for the client to say.
pub fn links_lead_back_through_the_gateway<G: Gateway>() {
    // There is a file for each hour that is over.
    if !have(&["libfaketime"]) {
        return;
    }
    let Some(mut world) = World::<G>::new() else {
        return;
    };
    let token = world.patrol.token("ann", "script", "30d");
    let hour = text(&world.patrol.show(&token), "created")[..13].to_owned();
    world.patrol.look_ahead(2);
    assert!(world.server.terminate().success(), "{}", world.server.log());
    world.server = world.patrol.serve();

    let session = Form::Session.arguments(&world.session(&token));
    let tenant = text(&world.patrol.json(&["tenant", "show", "acme"]), "id");
    let sites = world.ask(&format!("/api/v1/tenants/{tenant}/sites"), &session);
    let site = text(&sites.json()["sites"][0], "siteUUID");
    let log = format!("/api/v1/tenants/{tenant}/sites/{site}/activitylog");
    let wanted = json!({ "files": [format!("{hour}Z.jsonl")] }).to_string();
    let asking = [
        "--json",
        &wanted,
        "--header",
        "X-Real-IP: 192.0.2.1",
        "--header",
        "X-Forwarded-For: 192.0.2.1",
        "--header",
        "Forwarded: for=192.0.2.1;host=patrol.example",
        "--header",
        "X-Forwarded-Host: patrol.example",
        "--header",
        "X-Forwarded-Proto: https",
    ];
    let asking: Vec<_> = session.iter().map(String::as_str).chain(asking).collect();
    let linked = world.ask(&log, &asking);
    assert_eq!(linked.status, 200, "{linked:?}");
    let link = text(&linked.json()["files"][0], "url");
    assert!(link.starts_with(&world.gateway.url(&log)), "{link}");
    let downloaded = curl(&[&*link]);
    assert_eq!(downloaded.status, 200, "{downloaded:?}");
    assert!(downloaded.body.contains(&token.owner_id), "{downloaded:?}");
    assert_eq!(world.upstream.requests(), 0);

    let asked = wait_for("the question to be written down", || {
        let list = ["audit", "list", "--type", "download_activity_log"];
        world.patrol.json(&list).as_array()?.first().cloned()
    });
    assert_eq!(asked["initiatingUserIpAddress"], "127.0.0.1", "{asked}");
}

/// Patrol has limits of its own, lower ones; it need not be shown how large a body can be.
pub fn a_body_that_patrol_would_not_take_ends_at_the_gateway<G: Gateway>() {
    let Some((world, taps)) = World::<G>::build(|patrol| patrol.serve_tapped()) else {
        return;
    };
    let file = world.patrol.beside("body");
    std::fs::write(&file, [b'x'; 500_000]).expect("a file can be written");
    let data = format!("@{}", file.display());
    let answer = world.ask_once("/api/v1/login", &["--data-binary", &data]);
    assert_eq!(answer.status, 413, "{answer:?}");
    // A sign-in that is wrong, to see that such calls are seen.
    let wrong = world.ask("/api/v1/login", &["--json", r#"{"marker":"seen"}"#]);
    assert_eq!(wrong.status, 400, "{wrong:?}");
    let shown: Vec<_> = taps.iter().flat_map(|tap| tap.connections()).collect();
    let seen = shown
        .iter()
        .any(|bytes| bytes.windows(6).any(|piece| piece == b"marker"));
    assert!(seen, "the calls were not seen");
    let bytes: usize = shown.iter().map(Vec::len).sum();
    assert!(bytes < 100_000, "{bytes} bytes were passed on");
}
