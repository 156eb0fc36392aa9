//! A person's own tokens: made, copied, used, revoked; and all that does not go well.

use patrol_tests::browser::Chromium;
use patrol_tests::web::Browser;
use thirtyfour::Key;

use crate::stage::{PASSWORD, Stage};

#[test]
fn a_token_is_made_copied_used_and_revoked() {
    let Some(mut stage) = Stage::new() else { return };
    stage.chromium.goto("/");
    stage.chromium.arrive("/ui/sign-in");
    stage.chromium.check("sign-in");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.check("tokens-empty");

    stage.chromium.follow("Create Token");
    assert_eq!(
        stage.chromium.wait_for("the dialog's focus", || {
            Some(stage.chromium.focused()).filter(|name| name.starts_with("Name"))
        }),
        "Name"
    );
    stage.chromium.check("tokens-new");
    stage.chromium.fill("Name", "nightly-backup");
    stage.chromium.press("Create Token");
    let secret = stage.chromium.value("Secret of");
    assert!(secret.len() > 40, "{} characters", secret.len());
    assert_eq!(stage.chromium.focused(), "Copy Secret");
    stage.chromium.check("tokens-secret");

    // Who leaves before they have copied it is asked.
    stage.chromium.follow("Done");
    let question = stage
        .chromium
        .wait_for("the question", || stage.chromium.prompt());
    assert!(question.contains("have not copied"), "{question}");
    stage.chromium.answer_prompt(false);
    assert_eq!(stage.chromium.value("Secret of"), secret);
    stage.chromium.allow_clipboard();
    stage.chromium.press("Copy Secret");
    stage.chromium.see("Copied.");
    assert_eq!(stage.chromium.clipboard(), secret);
    stage.chromium.follow("Done");
    stage.chromium.see("nightly-backup");
    stage.chromium.arrive("/ui/tokens");

    // It is on no page from then on, wherever one goes.
    assert!(!stage.holds(&secret));
    for step in [
        Chromium::reload,
        Chromium::back,
        Chromium::forward,
        Chromium::back,
        Chromium::back,
    ] {
        step(&stage.chromium);
        assert!(!stage.holds(&secret), "{}", stage.chromium.path());
    }

    stage.chromium.goto("/ui/tokens");
    assert!(stage.chromium.text().contains("Never"));
    assert_eq!(stage.refused_without().status, 401);
    let arrived = stage.use_through_nginx(&secret).arrived();
    assert_eq!(arrived.header("x-patrol-user-name"), "bob");
    stage.chromium.wait_for("the use to be seen", || {
        stage.chromium.reload();
        stage.chromium.text().contains("127.0.0.1").then_some(())
    });
    stage.chromium.check("tokens");

    stage.chromium.follow("Revoke nightly-backup");
    stage.chromium.see("This cannot be undone.");
    assert!(stage.chromium.text_of("dialog").contains("nightly-backup"));
    stage.chromium.check("tokens-revoke");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    assert_eq!(stage.use_through_nginx(&secret).status, 401);
    assert!(!stage.chromium.text().contains("nightly-backup"));
    stage.chromium.goto("/ui/history");
    stage.chromium.see("nightly-backup");
    stage.chromium.check("history");
    stage.chromium.press("Sign out");
    stage.chromium.see("You are signed out.");
    stage.chromium.check("signed-out");
    stage.chromium.back();
    assert!(!stage.holds("nightly-backup"), "{}", stage.chromium.text());
}

#[test]
fn a_change_of_method_ends_the_tokens_and_the_session() {
    let Some(stage) = Stage::with("bob") else { return };
    let secret = stage.make_token("doomed");
    assert_eq!(stage.use_through_nginx(&secret).status, 200);
    stage.patrol.json(&["tenant", "set-auth-method", "acme", "saml"]);
    assert_eq!(stage.use_through_nginx(&secret).status, 401);
    stage.chromium.reload();
    stage.chromium.arrive("/ui/sign-in");
}

#[test]
fn what_is_refused_is_said_in_the_dialog() {
    let Some(mut stage) = Stage::with("bob") else {
        return;
    };
    let _ = stage.make_token("first");
    stage.ask_for_token("first");
    stage.chromium.see("You have a token of this name.");
    assert_eq!(stage.chromium.value("Name"), "first");
    stage.chromium.check("tokens-name-taken");
    stage.chromium.keys(Key::Escape);
    stage
        .chromium
        .wait_until("no dialog", "return !document.querySelector('dialog')");

    // Once is meant by two clicks.
    stage.chromium.follow("Create Token");
    stage.chromium.fill("Name", "second");
    stage.chromium.double_click("Create Token");
    let secret = stage.chromium.value("Secret of");
    assert_eq!(stage.use_through_nginx(&secret).status, 200);
    stage.chromium.allow_clipboard();
    stage.chromium.press("Copy Secret");
    stage.chromium.see("Copied.");
    stage.chromium.follow("Done");
    stage.chromium.see("2 of 104");

    // As many as there may be, by the same form.
    let mut hand = Browser::new(([127, 0, 0, 1], stage.patrol.port()).into());
    let _ = hand.sign_in("bob", PASSWORD);
    for number in 3..=104 {
        let form = hand.get("/ui/tokens/new");
        let made = hand.submit(&form, "/ui/tokens/new", &[("name", &format!("number {number}"))]);
        assert_eq!(made.answer.status, 200, "{made:?}");
    }
    stage.chromium.reload();
    stage.chromium.see("104 of 104");
    stage.chromium.check("tokens-full");
    let body = "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
        return all.reduce((sum, one) => sum + one.encodedBodySize, 0);";
    let weight = stage.chromium.script(body, &[]).as_u64().unwrap();
    println!("104 tokens: {weight} bytes");
    stage.ask_for_token("one too many");
    stage.chromium.see("as many as allowed");
    stage.chromium.check("tokens-limit");
}

#[test]
fn a_session_that_has_ended_is_said_and_taken_up_again() {
    let Some(stage) = Stage::with("bob") else { return };
    stage.chromium.follow("Create Token");
    stage.chromium.fill("Name", "late");
    // In another tab, the same person signs out.
    let first = stage.chromium.tab();
    let second = stage.chromium.new_tab();
    stage.chromium.goto("/ui/tokens");
    stage.chromium.press("Sign out");
    stage.chromium.see("You are signed out.");
    stage.chromium.turn_to(&first);
    stage.chromium.press("Create Token");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens/new");
    stage.chromium.goto("/ui/tokens");
    stage.chromium.see("0 of 104");

    // What one tab has revoked, the other one cannot.
    let _ = stage.make_token("shared");
    stage.chromium.turn_to(&second);
    stage.chromium.goto("/ui/tokens");
    stage.chromium.follow("Revoke shared");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    stage.chromium.turn_to(&first);
    stage.chromium.follow("Revoke shared");
    stage.chromium.see("ended already");
}

#[test]
fn the_keyboard_is_enough() {
    let Some(stage) = Stage::with("bob") else { return };
    stage.chromium.allow_clipboard();
    stage.chromium.tab_to("Create Token");
    stage.chromium.keys(Key::Enter);
    stage.chromium.wait_for("the dialog's focus", || {
        (stage.chromium.focused() == "Name").then_some(())
    });
    stage.chromium.keys("typed");
    stage.chromium.tab_to("Create Token");
    stage.chromium.keys(Key::Enter);
    stage.chromium.wait_for("the secret's focus", || {
        (stage.chromium.focused() == "Copy Secret").then_some(())
    });
    let secret = stage.chromium.value("Secret of");
    stage.chromium.keys(Key::Enter);
    stage.chromium.see("Copied.");
    assert_eq!(stage.chromium.clipboard(), secret);
    stage.chromium.tab_to("Done");
    stage.chromium.keys(Key::Enter);
    stage.chromium.see("typed");
    stage.chromium.arrive("/ui/tokens");

    // What a dialog took the focus from has it again.
    stage.chromium.tab_to("Revoke typed");
    stage.chromium.keys(Key::Enter);
    stage.chromium.see("This cannot be undone.");
    stage.chromium.tab_to("Cancel");
    stage.chromium.keys(Key::Escape);
    stage
        .chromium
        .wait_until("no dialog", "return !document.querySelector('dialog')");
    assert_eq!(stage.chromium.focused(), "Revoke typed");
    stage.chromium.keys(Key::Enter);
    stage.chromium.see("This cannot be undone.");
    // The dialog's heading, which has the focus at first, is called as its button is.
    stage.chromium.keys(Key::Tab);
    stage.chromium.tab_to("Delete");
    stage.chromium.keys(Key::Enter);
    stage.chromium.see("The token is revoked.");
}

#[test]
fn all_but_copying_works_without_scripts() {
    let Some(mut stage) = Stage::new() else { return };
    stage.chromium.scripts(false);
    stage.chromium.goto("/");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.follow("Create Token");
    stage.chromium.arrive("/ui/tokens/new");
    stage.chromium.fill("Name", "plain");
    stage.chromium.press("Create Token");
    let secret = stage.chromium.value("Secret of");
    assert!(!stage.chromium.offers("Copy Secret"));
    assert_eq!(stage.use_through_nginx(&secret).status, 200);
    stage.chromium.follow("Done");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.back();
    assert!(!stage.holds(&secret), "{}", stage.chromium.path());
    stage.chromium.goto("/ui/tokens");
    stage.chromium.follow("Revoke plain");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    assert_eq!(stage.use_through_nginx(&secret).status, 401);
    stage.chromium.press("Sign out");
    stage.chromium.see("You are signed out.");
    assert_eq!(stage.chromium.elsewhere(), [""; 0]);
}
