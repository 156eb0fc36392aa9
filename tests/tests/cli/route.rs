//! `patrol route`: what would apply, and why.

use serde_json::json;

use crate::support::Home;

const ROUTES: &str = r#"# What applies to what.
[http]
credential_headers = ["X-Api-Key"]

[[route]]
path = "/git/**"
credentials = ["basic"]
challenge = "basic"
realm = "git"

[[route]]
path = "/api/**"
methods = ["GET", "POST"]
any_role = ["admin", "ops"]
all_roles = ["staff"]
audience = "reports"

[[route]]
path = "/pub/*"
challenge = "none"
anonymous = true
"#;

fn home() -> Home {
    let home = Home::with_ann();
    home.configure(ROUTES);
    home
}

#[test]
fn the_route_that_applies_is_explained_with_those_before_it() {
    let home = home();
    let shown = home.run(&["route", "explain", "HEAD", "/%61pi/x?y=/../z"]).done();
    assert_eq!(
        shown,
        "\
request      HEAD /%61pi/x?y=/../z
path         /api/x
passed over  1, /git/** (line 5): its path does not fit
route        2, /api/** (line 11)
methods      GET, POST
audience     reports
roles        one of admin, ops; all of staff
credentials  bearer, basic, token, session, X-Api-Key
challenge    Bearer, realm \"patrol\"
anonymous    no
"
    );
    assert_eq!(
        home.json(&["route", "explain", "GET", "/pub/x"]),
        json!({
            "method": "GET",
            "target": "/pub/x",
            "path": "/pub/x",
            "passedOver": [
                {"number": 1, "line": 5, "path": "/git/**", "reason": "its path does not fit"},
                {"number": 2, "line": 11, "path": "/api/**", "reason": "its path does not fit"},
            ],
            "route": {
                "number": 3,
                "line": 18,
                "path": "/pub/*",
                "methods": [],
                "audience": "api",
                "anyRole": [],
                "allRoles": [],
                "credentials": ["bearer", "basic", "token", "session", "X-Api-Key"],
                "challenge": "none",
                "anonymous": true,
            },
        })
    );
}

#[test]
fn a_request_that_is_refused_is_explained_too() {
    let home = home();
    let refused = home.run(&["route", "explain", "GET", "/git/../api"]).done();
    assert!(
        refused.contains("refused  400, the path could be read in two ways: it holds \".\" or \"..\""),
        "{refused}"
    );
    let refused = home.json(&["route", "explain", "get", "/git"]);
    assert!(
        refused["refused"].as_str().unwrap().contains("the method"),
        "{refused}"
    );
    assert!(refused.get("route").is_none());
    let refused = home.run(&["route", "explain", "DELETE", "/api/x"]).done();
    assert!(
        refused.contains("passed over  2, /api/** (line 11): it is for other methods"),
        "{refused}"
    );
    assert!(
        refused.contains("refused      403, no route applies"),
        "{refused}"
    );
}

#[test]
fn where_there_is_no_route_the_defaults_apply_to_all() {
    let home = Home::empty();
    let shown = home.run(&["route", "explain", "GET", "/a/../b"]).done();
    assert!(
        shown.contains("there are none: [http] applies to all requests"),
        "{shown}"
    );
    assert_eq!(home.json(&["route", "list"])[0]["number"], 0);
    assert!(!home.data().exists());
}

#[test]
fn routes_are_listed_in_the_order_in_which_they_are_looked_at() {
    let home = home();
    let list = home.json(&["route", "list"]);
    let paths: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["path"])
        .collect();
    assert_eq!(paths, ["/git/**", "/api/**", "/pub/*"]);
    let table = home.run(&["route", "list"]).done();
    assert!(table.starts_with("ROUTE  LINE  PATH"), "{table}");
    assert_eq!(table.lines().count(), 4);
    home.configure("[[route]]\npath = \"\"\n");
    assert!(home.run(&["route", "list"]).failed(2).contains("line 2"));
}
