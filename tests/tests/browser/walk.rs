//! A new user's whole way, with no documentation but the pages; and every page that an administrator has.

use crate::stage::{PASSWORD, Stage};

#[test]
fn from_an_empty_directory_to_a_change_of_method() {
    let Some(mut stage) = Stage::empty() else { return };
    let link = stage.first_link();
    stage.chromium.goto(&link);
    stage.chromium.check("setup");
    stage.chromium.fill("Organization", "Example");
    stage.chromium.fill("Your user name", "ada");
    stage.chromium.fill("New password", PASSWORD);
    stage.chromium.fill("New password, once more", PASSWORD);
    stage.chromium.press("Create");
    stage.chromium.arrive("/ui/tokens");

    // It made one administrator, and makes no other.
    stage.chromium.goto(&link);
    assert!(!stage.chromium.offers("Create"));
    stage.chromium.goto("/ui/tokens");

    let secret = stage.make_token("nightly backup");
    let arrived = stage.use_through_nginx(&secret).arrived();
    assert_eq!(arrived.header("x-patrol-user-name"), "ada");
    stage.chromium.wait_for("the use to be seen", || {
        stage.chromium.reload();
        stage.chromium.text().contains("127.0.0.1").then_some(())
    });
    stage.chromium.follow("Revoke nightly backup");
    stage.chromium.see("This cannot be undone.");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    assert_eq!(stage.use_through_nginx(&secret).status, 401);

    let secrets = ["one", "another"].map(|name| stage.make_token(name));
    for secret in &secrets {
        assert_eq!(stage.use_through_nginx(secret).status, 200);
    }
    stage.chromium.follow("Settings");
    stage.chromium.arrive("/ui/admin/settings");
    stage.chromium.click_at("input[value=other]");
    stage.chromium.fill("Name of the other method", "saml");
    stage.chromium.press("Show what would be revoked");
    stage.chromium.see("another");
    stage.chromium.check("method-preview");
    stage.chromium.fill("To confirm", "Exampel");
    stage.chromium.press("Change the method and revoke");
    stage.chromium.see("Nothing was changed.");
    assert_eq!(stage.use_through_nginx(&secrets[0]).status, 200);
    stage.chromium.fill("To confirm", "Example");
    stage.chromium.press("Change the method and revoke");
    stage.chromium.arrive("/ui/admin/settings");
    for secret in &secrets {
        assert_eq!(stage.use_through_nginx(secret).status, 401);
    }
    // Whoever changed it sees what they did.
    stage.chromium.goto("/ui/tokens");
    stage.chromium.see("0 of 104");
}

#[test]
fn everybody_can_use_every_page_of_an_administrator() {
    let Some(mut stage) = Stage::with("ann") else {
        return;
    };
    for name in ["one", "another"] {
        let _ = stage.make_token(name);
    }
    stage.chromium.follow("Revoke one");
    stage.chromium.see("This cannot be undone.");
    stage.chromium.press("Delete");
    stage.chromium.see("The token is revoked.");
    for (name, path) in [
        ("security", "/ui/security"),
        ("admin-overview", "/ui/admin"),
        ("admin-tokens", "/ui/admin/tokens?state=all"),
        ("admin-users", "/ui/admin/users"),
        ("admin-user-new", "/ui/admin/users/new"),
        ("admin-audit", "/ui/admin/audit"),
        ("admin-audit-event", "/ui/admin/audit/3"),
        ("admin-policy", "/ui/admin/policy"),
        ("admin-settings", "/ui/admin/settings"),
        ("nothing", "/ui/nothing"),
    ] {
        stage.chromium.goto(path);
        stage.chromium.check(name);
    }
    stage.chromium.goto("/ui/admin/users");
    stage.chromium.follow("bob");
    stage.chromium.check("admin-user");
    stage.chromium.follow("Reset password");
    stage.chromium.press("Make link");
    stage.chromium.see("It is shown this once.");
    stage.chromium.check("admin-user-link");
    stage.chromium.goto("/ui/admin/tokens");
    stage.chromium.follow("Revoke another");
    stage.chromium.see("another");
    stage.chromium.check("admin-tokens-revoke");
    stage.chromium.goto("/ui/security");
    stage.chromium.click("Turn on");
    stage.chromium.check("security-enrolment");
}
