//! Signing in by a real identity provider, which is another site to the browser.

use std::os::unix::fs::OpenOptionsExt as _;

use patrol_tests::browser::{Chromium, have_chromium};
use patrol_tests::gateway::patrol::Patrol;
use patrol_tests::oidc::{Provider, SECRET};

/// Fills in what the provider asks for, and goes on.
fn go_on(chromium: &Chromium, login: &str) {
    let form = "const form = document.querySelector('form[method=post]');
        if (!form) return false;
        for (const field of form.querySelectorAll('[name=login], [name=password]')) field.value = arguments[0];
        form.submit();
        return true;";
    chromium.wait_for("a form of the provider", || {
        (chromium.script(form, &[login.into()]) == true).then_some(())
    });
}

#[test]
fn somebody_is_sent_to_their_provider_and_comes_back_signed_in() {
    if !have_chromium() {
        return;
    }
    let mut patrol = Patrol::new("");
    let origin = format!("http://localhost:{}", patrol.port());
    let directory = tempfile::tempdir().unwrap();
    let Some(provider) = Provider::start_for(&origin, "corp", directory.path(), &[]) else {
        return;
    };
    let secret = directory.path().join("secret");
    let file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&secret);
    std::io::Write::write_all(&mut file.unwrap(), SECRET.as_bytes()).unwrap();
    patrol.configure_more(&format!(
        "[[web.oidc]]\nname = \"corp\"\nlabel = \"Example Corp\"\nissuer = \"{}\"\nclient_id = \"patrol\"\n\
         client_secret_file = \"{}\"\nmatch = \"name\"\n",
        provider.issuer(),
        secret.display()
    ));
    for name in ["bob", "alice"] {
        let id = patrol.user(name, &[]);
        if name == "bob" {
            patrol.json(&["user", "set-auth-method", &id, "oidc:corp"]);
        }
    }
    let _server = patrol.serve();
    // Two names of this machine: to the browser, the provider at 127.0.0.1 is another site than Patrol at localhost.
    let mut chromium = Chromium::open(&origin);
    chromium.goto("/ui/history");
    chromium.arrive("/ui/sign-in");
    chromium.check("sign-in-provider");
    chromium.follow("Sign in with Example Corp");
    chromium.wait_for("the provider", || {
        chromium.path().starts_with(&provider.issuer()).then_some(())
    });
    go_on(&chromium, "bob");
    chromium.see("Authorize");
    go_on(&chromium, "bob");
    // Where they wanted to go at first.
    chromium.arrive("/ui/history");
    chromium.see("bob");
    let cookie = chromium.cookie("__Host-patrol-session").expect("a session");
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"]),
        (&true.into(), &"Lax".into()),
        "{cookie}"
    );
    assert!(
        chromium.cookie("__Host-patrol-oidc").is_none(),
        "it was good once"
    );
    chromium.follow("Security");
    chromium.see("Where you are signed in");
    assert!(
        !chromium.text().contains("Change password"),
        "they have none here"
    );
    chromium.press("Sign out");
    chromium.arrive("/ui/sign-in");

    // Somebody whom Patrol lets in by a password only, at a provider that knows nobody any more.
    chromium.forget_cookies();
    chromium.goto("/ui/sign-in");
    chromium.follow("Sign in with Example Corp");
    go_on(&chromium, "alice");
    chromium.see("Authorize");
    go_on(&chromium, "alice");
    chromium.see("You sign in to Patrol another way.");
    assert!(chromium.cookie("__Host-patrol-session").is_none());
}
