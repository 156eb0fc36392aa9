//! Other sites, in the same browser.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::json;

use crate::stage::Stage;

/// A site with one page, as `http://NAME:PORT/`.
fn site(name: &str, page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{name}:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            let _ = (&stream).write_all((head + page.as_str()).as_bytes());
        }
    });
    address
}

#[test]
fn other_sites_neither_frame_the_pages_nor_send_their_forms() {
    let Some(mut stage) = Stage::with("bob") else {
        return;
    };
    let origin = stage.chromium.origin().to_owned();
    // By its port alone the one is another origin of the same site; the other is another site.
    for (name, said) in [
        ("127.0.0.1", "Nothing was changed"),
        ("localhost", "Times are in"),
    ] {
        let framing = site(name, format!("<iframe src={origin}/ui/tokens></iframe>"));
        let _ = stage.chromium.complaints();
        stage.chromium.goto(&framing);
        let complaints = stage.chromium.complaints().join("\n");
        assert!(complaints.contains("frame-ancestors"), "{complaints}");

        let token = stage.chromium.cookie("__Host-patrol-session").unwrap();
        assert_eq!(
            [
                &token["secure"],
                &token["httpOnly"],
                &token["sameSite"],
                &token["session"]
            ],
            [&json!(true), &json!(true), &json!("Lax"), &json!(true)]
        );
        let sending = site(
            name,
            format!(
                "<form method=post action={origin}/ui/tokens/new><input name=name value=forged>\
                 <input name=lifetime value=max><button>Win a prize</button></form>"
            ),
        );
        stage.chromium.goto(&sending);
        stage.chromium.click("Win a prize");
        // To the other site's form the browser does not even give the cookie.
        stage.chromium.see(said);
        stage.chromium.goto("/ui/tokens");
        stage.chromium.see("0 of 104");
    }
}

#[test]
fn names_that_are_attacks_are_names() {
    let Some(mut stage) = Stage::with("bob") else {
        return;
    };
    let attack = "'\"><img src=x onerror=alert(1)><script>alert(2)</script>";
    let _ = stage.make_token(attack);
    let name = format!("Revoke {attack}");
    stage.chromium.follow(&name);
    stage.chromium.see("This cannot be undone.");
    stage.chromium.check("tokens-hostile-name");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    stage.chromium.goto("/ui/history");
    stage.chromium.see(attack);
    stage.chromium.check("history-hostile-name");
    assert_eq!(stage.chromium.prompts(), [""; 0]);
}

#[test]
fn a_planted_session_is_not_taken_up() {
    let Some(stage) = Stage::new() else { return };
    stage
        .chromium
        .plant_cookie("__Host-patrol-session", &"A".repeat(43));
    stage.chromium.goto("/ui/tokens");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens");
    let cookie = stage.chromium.cookie("__Host-patrol-session").unwrap();
    assert_ne!(cookie["value"], "A".repeat(43));
}

#[test]
fn times_are_in_the_persons_zone() {
    let Some(stage) = Stage::new() else { return };
    stage.chromium.zone("Asia/Tokyo");
    stage.chromium.goto("/");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.see("Asia/Tokyo");
    let _ = stage.make_token("dated");
    stage.chromium.wait_until(
        "dates that programs can read",
        "return [...document.querySelectorAll('time')].length > 0
            && [...document.querySelectorAll('time')].every(time => !isNaN(Date.parse(time.dateTime)))",
    );
}
