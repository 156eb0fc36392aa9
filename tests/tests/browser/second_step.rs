//! The second step in a browser: turned on, asked for, shown by a recovery code, and taken away from who has lost it.

use std::time::{SystemTime, UNIX_EPOCH};

use totp_rs::{Builder, Totp};

use crate::stage::Stage;

/// The code of now, or of so many steps of half a minute later.
fn code(totp: &Totp, later: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + 30 * later).to_string()
}

#[test]
fn it_is_turned_on_asked_for_and_taken_away_from_who_has_lost_it() {
    let Some(mut stage) = Stage::with("bob") else {
        return;
    };
    stage.chromium.follow("Security");
    stage.chromium.click("Turn on");
    stage.chromium.see("Scan this with an authenticator app");
    let text = stage.chromium.text_of("code.secret");
    let secret = totp_rs::Secret::try_from_base32(&text).unwrap();
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    stage.chromium.fill("Code", "000000");
    stage.chromium.press("Continue");
    stage.chromium.see("This is wrong");
    stage.chromium.check("security-enrolment-wrong");
    stage.chromium.fill("Code", &code(&totp, 0));
    stage.chromium.press("Continue");
    stage.chromium.see("Each works once");
    stage.chromium.check("recovery-codes");
    let recovery = stage.chromium.text_of(".codes code");
    stage.chromium.follow("I have kept them");
    stage.chromium.see("10 recovery codes are left");
    stage.chromium.check("security-on");
    stage.chromium.back();
    assert!(!stage.holds(&recovery), "codes are shown once");
    stage.chromium.goto("/ui/security");
    stage.chromium.press("Sign out");

    stage.sign_in("bob");
    stage.chromium.arrive("/ui/sign-in/second");
    stage.chromium.check("second-step");
    stage.chromium.fill("Code", &code(&totp, 1));
    stage.chromium.press("Continue");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.press("Sign out");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/sign-in/second");
    stage.chromium.fill("Code", &recovery.to_uppercase());
    stage.chromium.press("Continue");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.press("Sign out");

    stage.sign_in("ann");
    stage.chromium.arrive("/ui/tokens");
    stage.chromium.goto("/ui/admin/users");
    stage.chromium.follow("bob");
    stage.chromium.see("9 recovery codes are left");
    stage.chromium.check("admin-user-second-step");
    stage.chromium.follow("Remove second step");
    stage.chromium.see("Be sure that it is bob who asks");
    stage.chromium.check("admin-user-remove-second-step");
    stage.chromium.press("Remove second step");
    stage.chromium.see("The second step was removed.");
    stage.chromium.press("Sign out");
    stage.sign_in("bob");
    stage.chromium.arrive("/ui/tokens");
}
