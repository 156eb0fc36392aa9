//! Administrators and the policy that decides for them.

use patrol::config::Config;
use patrol::release::hex;
use patrol::service::{Caller, ServeLock};
use patrol_policy::types::DAY;
use patrol_tests::deployment::release;
use patrol_tests::{policies, wasm};

use super::Site;

const POLICY: &str = "/ui/admin/policy";

#[test]
fn the_active_policy_is_described() {
    let site = Site::new();
    let mut alice = site.signed_in("alice");
    let page = alice.get(POLICY);
    assert_eq!(page.answer.status, 200, "{page:?}");
    let values = page.texts("dd");
    assert!(values.contains(&hex(&site.patrol.policy_digest())), "{values:?}");
    assert!(values.contains(&"15 days".to_owned()));
    assert!(values.contains(&"104".to_owned()));
    assert!(page.text("main").contains("the built-in policy decides"));
    assert!(!page.texts("details li code").is_empty());
    let nothing = format!("{POLICY}/{}", "00".repeat(32));
    assert_eq!(alice.get_only(&nothing).answer.status, 404);
}

#[test]
fn a_staged_release_is_rehearsed() {
    let mut config = Config::default();
    config.journal.enabled = true;
    config.policy.allow_unsigned = true;
    let site = Site::with(config);
    let lock = ServeLock::take(site.patrol.data()).unwrap();
    site.patrol.keep_journal(&lock).unwrap();
    let token = site.issue(site.bob, "deploy <b>");
    for _ in 0..2 {
        site.clock.advance(12 * DAY);
        site.verify(&token).unwrap();
    }
    site.patrol.flush_journal();
    let staged = site
        .patrol
        .stage(
            &Caller::operator(None),
            &release("stricter", policies::read("stricter"), 3),
        )
        .unwrap();
    let mut alice = site.signed_in("alice");
    let page = alice.get(POLICY);
    let path = format!("{POLICY}/{}", hex(&staged.release.digest));
    assert!(page.attributes("td a", "href").contains(&path), "{page:?}");

    let mut page = alice.get(&path);
    page = alice.submit(&page, &path, &[]);
    for _ in 0..200 {
        if page.texts("#result").len() == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        page = alice.get(&path);
    }
    let result = page.text("#result");
    assert!(result.contains("token: accepted → refused:"), "{result}");
    assert!(
        page.texts("#result tbody tr")
            .iter()
            .any(|row| row.contains("deploy <b>") && row.contains("bob"))
    );
    assert!(!page.answer.body.contains("deploy <b>"));
    assert_eq!(alice.post(&path, &[]).answer.status, 403);
}

#[test]
fn without_a_journal_there_is_nothing_to_rehearse_by() {
    let mut config = Config::default();
    config.policy.allow_unsigned = true;
    let site = Site::with(config);
    let staged = site
        .patrol
        .stage(
            &Caller::operator(None),
            &release("stricter", wasm::embedded().to_vec(), 3),
        )
        .unwrap();
    let mut alice = site.signed_in("alice");
    let path = format!("{POLICY}/{}", hex(&staged.release.digest));
    let page = alice.get(&path);
    let page = alice.submit(&page, &path, &[]);
    assert!(
        page.text("#result .notice").starts_with("There is no journal"),
        "{page:?}"
    );
}
