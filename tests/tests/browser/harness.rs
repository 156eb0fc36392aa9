//! That the tests see what is wrong with a page: one that has nothing wrong with it passes, and each flaw is found.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use patrol_tests::browser::{Chromium, have_chromium, screenshots};

const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:";

const SOUND: &str =
    "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>Sound</title>
    <link rel=icon href='data:,'><script src=/sound.js defer></script>
    <main><h1>Sound</h1><form><label>Name <input name=name></label> <button type=button>Greet</button></form>
    <p id=greeting></p><a href=/flawed>Onwards</a></main></html>";

const SCRIPT: &str = "document.querySelector('button').addEventListener('click', () => {
    document.getElementById('greeting').textContent = 'Hello ' + document.querySelector('input').value; });";

const FLAWED: &str = "<!doctype html><html><title>Flawed</title><link rel=icon href='data:,'>
    <script>document.title = 'never'</script><img src=http://example.com/picture.png>
    <main><h1>Flawed</h1><input name=unlabelled><p><img src=/x width=3000 height=1></main></html>";

/// A server of three resources, on a port of its own.
fn pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let mut line = String::new();
                let _ = reader.read_line(&mut line);
                let mut rest = String::new();
                while reader.read_line(&mut rest).is_ok_and(|length| length > 2) {
                    rest.clear();
                }
                let (status, kind, body) = match line.split(' ').nth(1) {
                    Some("/") => ("200 OK", "text/html", SOUND),
                    Some("/flawed") => ("200 OK", "text/html", FLAWED),
                    Some("/sound.js") => ("200 OK", "text/javascript", SCRIPT),
                    _ => ("404 Not Found", "text/plain", ""),
                };
                let _ = (&stream).write_all(
                    format!(
                        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {POLICY}\r\n\
                         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    )
                    .as_bytes(),
                );
            });
        }
    });
    origin
}

#[test]
fn flaws_are_found_and_soundness_is_left_alone() {
    if !have_chromium() {
        return;
    }
    let mut chromium = Chromium::open(&pages());
    chromium.goto("/");
    chromium.check("harness");
    for view in ["light-wide", "dark-wide", "light-phone", "dark-phone"] {
        let picture = screenshots().join(format!("harness-{view}.png"));
        assert!(picture.is_file(), "{}", picture.display());
        std::fs::remove_file(picture).unwrap();
    }
    chromium.fill("Name", "Ada");
    chromium.click("Greet");
    chromium.see("Hello Ada");
    assert_eq!(chromium.value("Name"), "Ada");
    chromium.tab_to("Onwards");

    chromium.allow_clipboard();
    chromium.script("navigator.clipboard.writeText('copied')", &[]);
    chromium.wait_for("the clipboard", || {
        (chromium.clipboard() == "copied").then_some(())
    });

    chromium.follow("Onwards");
    chromium.arrive("/flawed");
    let found = chromium.axe().join("\n");
    for rule in ["html-has-lang", "label", "image-alt"] {
        assert!(found.contains(&format!("{rule} (")), "{rule}: {found}");
    }
    let complaints = chromium.complaints().join("\n");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
    assert_eq!(chromium.text_of("h1"), "Flawed");

    // What scripts do is not done without them.
    chromium.scripts(false);
    chromium.goto("/");
    chromium.fill("Name", "Ada");
    chromium.click("Greet");
    assert_eq!(chromium.text_of("#greeting"), "");
    chromium.scripts(true);
}

#[test]
#[should_panic(expected = "wider than the screen")]
fn a_page_that_is_too_wide_fails() {
    if !have_chromium() {
        panic!("skipped, as if it were wider than the screen");
    }
    let mut chromium = Chromium::open(&pages());
    chromium.goto("/flawed");
    chromium.check("harness-flawed");
}
