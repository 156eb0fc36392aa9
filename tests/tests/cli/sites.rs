//! Sites, and the document of the REST API.

use serde_json::{Value, json};

use crate::support::{Home, text};

#[test]
fn a_site_lives_from_its_creation_to_its_deletion() {
    let home = Home::with_ann();
    let listed = home.json(&["site", "list"]);
    assert_eq!(listed[0]["name"], "Default");
    let made = home.json(&["site", "create", "--tenant", "acme", "Sales & More"]);
    assert_eq!(
        (&made["name"], &made["contentUrl"], &made["tenant"]),
        (&json!("Sales & More"), &json!("SalesMore"), &json!("acme"))
    );
    let id = text(&made["id"]);
    let again = home.run(&["site", "create", "--tenant", "acme", "Sales & More"]);
    assert_eq!(again.code, Some(5), "{}", again.out);
    let renamed = home
        .run(&["site", "rename", "acme/Sales & More", "Marketing"])
        .done();
    assert!(
        renamed.starts_with("Renamed.\n") && renamed.contains("acme/Marketing"),
        "{renamed}"
    );
    let listed = home.run(&["site", "list", "--tenant", "acme"]).done();
    assert!(
        listed.contains("acme/Marketing") && listed.contains("SalesMore"),
        "{listed}"
    );
    home.run(&["site", "delete", &id]).done();
    let last = home.run(&["site", "delete", "Default"]);
    assert_eq!(last.code, Some(2));
    assert!(last.err.contains("last site"), "{}", last.err);
    assert_eq!(home.run(&["site", "delete", &id]).code, Some(4));
    assert_eq!(home.run(&["site", "list", "--tenant", "nowhere"]).code, Some(4));
}

#[test]
fn the_document_of_the_rest_api_is_printed_as_it_is_served() {
    let home = Home::empty();
    let document: Value = serde_json::from_str(&home.run(&["openapi"]).done()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/pat/login"]["post"].is_object());
    assert!(!home.data().exists());
}
