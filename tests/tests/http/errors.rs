//! Errors are JSON, whatever it is that is wrong; and the document says which there are.

use std::collections::BTreeMap;

use patrol_tests::deployment::Deployment;
use patrol_tests::wire::{login, send};
use serde_json::Value;

use super::{Listener, api, assert_problem, session_of, text};

const METHODS: [&str; 6] = ["get", "post", "put", "delete", "patch", "options"];

#[test]
fn a_path_that_leads_nowhere_is_a_404_and_below_api_only_sessions_learn_it() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    for path in ["/x", "/healthz/x", "/api", "/uix"] {
        let answer = send(listener.address, &format!("GET {path}"), &[], b"").unwrap();
        assert_problem(&answer, 404, "E_404_NOT_FOUND");
    }
    let session = session_of(&login(listener.address, &text(&it.issue(it.bob, "one"))).unwrap());
    for path in ["/api/v1/tenants", "/api/v1/nothing", "/api/v9/sites"] {
        let anonymous = send(listener.address, &format!("GET {path}"), &[], b"").unwrap();
        assert_problem(&anonymous, 401, "E_401_UNAUTHORIZED");
        let known = api(listener.address, &format!("GET {path}"), &session);
        assert_problem(&known, 404, "E_404_NOT_FOUND");
    }
}

#[test]
fn the_document_names_every_method_of_every_path_and_no_other() {
    let it = Deployment::new();
    let listener = Listener::start(&it.patrol);
    let answer = send(listener.address, "GET /api/openapi.json", &[], b"").unwrap();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 10);
    for (path, calls) in paths {
        for method in METHODS {
            let documented = calls.get(method).is_some();
            let request = format!("{} {path}", method.to_uppercase()).replace(['{', '}'], "");
            let answer = send(listener.address, &request, &[], b"").unwrap();
            assert_eq!(answer.status != 405, documented, "{method} {path}: {answer:?}");
            if !documented {
                assert_problem(&answer, 405, "E_405_METHOD_NOT_ALLOWED");
                let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').collect();
                allowed.retain(|method| *method != "HEAD");
                allowed.sort_unstable();
                let mut known: Vec<_> = calls
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|m| m.to_uppercase())
                    .collect();
                known.sort_unstable();
                assert_eq!(allowed, known, "{path}");
            }
        }
    }
}

#[test]
fn each_call_of_the_document_says_how_it_fails() {
    let document: Value = serde_json::from_str(&patrol::http::openapi()).unwrap();
    let mut calls = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            calls.insert(format!("{method} {path}"), call.clone());
        }
    }
    assert_eq!(calls.len(), 12);
    for (name, call) in &calls {
        let responses = call["responses"].as_object().unwrap();
        assert!(
            call["operationId"].is_string() && call["summary"].is_string(),
            "{name}"
        );
        if call.get("security").is_some() {
            for status in ["401", "429", "503"] {
                assert!(responses.contains_key(status), "{name}: {status}");
            }
        }
        if call.get("requestBody").is_some() {
            for status in ["400", "413"] {
                assert!(responses.contains_key(status), "{name}: {status}");
            }
        }
        for (status, response) in responses {
            let fails = status.parse::<u16>().unwrap() >= 400;
            let schema = &response["content"]["application/json"]["schema"]["$ref"];
            assert!(
                !fails || schema == "#/components/schemas/Problem",
                "{name}: {status}"
            );
        }
    }
}
