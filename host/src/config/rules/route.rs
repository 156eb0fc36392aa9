//! What routes may say, and in which order.

use super::{FORMS, Findings, check_header, check_realm, key};
use crate::config::pattern::Pattern;
use crate::config::schema::nearest;
use crate::config::{Challenge, RouteConfig, Step, check_audience};

/// Methods in use (RFC 9110, PATCH, WebDAV, CalDAV). Names are case-sensitive, so that a misspelt one would never fit.
const METHODS: [&str; 24] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "ACL",
    "MKCALENDAR",
    "BIND",
    "UNBIND",
    "REBIND",
];

/// Routes that can never apply, since those before them take all that they would.
pub(super) fn check_order(routes: &[RouteConfig], found: &mut Findings) {
    let patterns: Vec<_> = routes
        .iter()
        .map(|route| Pattern::parse(&route.path).ok())
        .collect();
    for (index, (route, pattern)) in routes.iter().zip(&patterns).enumerate() {
        let Some(pattern) = pattern else { continue };
        let mut left: Vec<&str> = route.methods.iter().map(String::as_str).collect();
        let before = routes.iter().zip(&patterns).take(index).enumerate();
        for (earlier, (before, covering)) in before {
            if !covering.as_ref().is_some_and(|covering| covering.covers(pattern)) {
                continue;
            }
            left.retain(|method| !takes(before, method));
            if before.methods.is_empty() || (left.is_empty() && !route.methods.is_empty()) {
                let earlier = earlier.saturating_add(1);
                let why = format!(
                    "it can never apply, since route {earlier} ({}) takes all of its requests: put it before that \
                     one, or remove it",
                    before.path
                );
                found.push([key("route"), Step::Index(index)], why);
                break;
            }
        }
    }
}

/// What cannot be in a route.
pub(super) fn check(route: &RouteConfig, found: &mut Findings) {
    found.check("path", Pattern::parse(&route.path).map(drop));
    check_methods(&route.methods, found);
    if let Some(audience) = &route.audience {
        found.check("audience", check_audience(audience));
    }
    if let Some(realm) = &route.realm {
        found.check("realm", check_realm(realm));
    }
    for (name, roles) in [("any_role", &route.any_role), ("all_roles", &route.all_roles)] {
        for (index, role) in roles.iter().enumerate() {
            if role.is_empty()
                || role.contains(',')
                || role.trim() != role
                || role.chars().any(char::is_control)
            {
                let why = "this cannot be a role, so nobody has it";
                found.push([key(name), Step::Index(index)], why.to_owned());
            }
        }
        if route.anonymous && !roles.is_empty() {
            found.push(
                [key(name)],
                "who comes in without a credential has no roles: with `anonymous = true` there can be none to ask for"
                    .to_owned(),
            );
        }
    }
    if let Some(forms) = &route.credentials {
        check_forms(route, forms, found);
    }
}

fn check_methods(methods: &[String], found: &mut Findings) {
    for (index, method) in methods.iter().enumerate() {
        let at = [key("methods"), Step::Index(index)];
        if !METHODS.contains(&method.as_str()) {
            let why = match nearest(method, METHODS) {
                Some(near) => format!(
                    "there is no method `{method}`; did you mean `{near}`? Methods are case-sensitive"
                ),
                None => format!("there is no method `{method}`"),
            };
            found.push(at, why);
        } else if methods.iter().take(index).any(|other| other == method) {
            found.push(at, format!("`{method}` is there already"));
        }
    }
}

fn check_forms(route: &RouteConfig, forms: &[String], found: &mut Findings) {
    if forms.is_empty() && !route.anonymous {
        let why = "without any form nobody can present anything, so nobody is ever let in";
        found.push([key("credentials")], why.to_owned());
    }
    for (index, form) in forms.iter().enumerate() {
        let at = [key("credentials"), Step::Index(index)];
        if forms
            .iter()
            .take(index)
            .any(|other| other.eq_ignore_ascii_case(form))
        {
            found.push(at, format!("`{form}` is there already"));
        } else if FORMS.contains(&form.as_str()) {
        } else if let Some(near) = nearest(form, FORMS).filter(|_| !form.contains('-')) {
            let why = format!(
                "there is no such form; did you mean `{near}`? For a header of that name, use another"
            );
            found.push(at, why);
        } else if let Err(why) = check_header(form) {
            found.push(at, why);
        }
    }
    let asked_for = match route.challenge {
        Some(Challenge::Basic) => "basic",
        Some(Challenge::Bearer) => "bearer",
        Some(Challenge::None) | None => return,
    };
    if !forms.is_empty() && !forms.iter().any(|form| form == asked_for) {
        let why = format!(
            "it asks for a credential that the route does not read: add \"{asked_for}\" to `credentials`"
        );
        found.push([key("challenge")], why);
    }
}

/// Whether a route takes requests of a method, as far as that goes.
fn takes(route: &RouteConfig, method: &str) -> bool {
    route.methods.is_empty()
        || route
            .methods
            .iter()
            .any(|ours| ours == method || (ours == "GET" && method == "HEAD"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistake, mistakes};

    fn route(more: &str) -> String {
        format!("[[route]]\npath = \"/a\"\n{more}\n")
    }

    #[test]
    fn a_route_that_makes_no_sense_is_refused() {
        mistake("[[route]]\npath = \"a\"", "route[1].path", "begins with");
        mistake("[[route]]\npath = \"/a**\"", "route[1].path", "whole segments");
        mistake(
            &route("methods = [\"get\"]"),
            "route[1].methods[1]",
            "did you mean `GET`",
        );
        mistake(
            &route("methods = [\"GET\", \"FROB\"]"),
            "route[1].methods[2]",
            "no method `FROB`",
        );
        mistake(
            &route("methods = [\"GET\", \"GET\"]"),
            "route[1].methods[2]",
            "already",
        );
        mistake(&route("audience = \"\""), "route[1].audience", "letters");
        mistake(
            &route("any_role = [\"a,b\"]"),
            "route[1].any_role[1]",
            "nobody has it",
        );
        mistake(
            &route("anonymous = true\nall_roles = [\"a\"]"),
            "route[1].all_roles",
            "no roles",
        );
        mistake(
            &route("credentials = []"),
            "route[1].credentials",
            "nobody is ever let in",
        );
        mistake(
            &route("credentials = [\"beaer\"]"),
            "route[1].credentials[1]",
            "did you mean `bearer`",
        );
        mistake(
            &route("credentials = [\"Bearer\"]"),
            "route[1].credentials[1]",
            "did you mean `bearer`",
        );
        mistake(
            &route("credentials = [\"X Key\"]"),
            "route[1].credentials[1]",
            "cannot be the name",
        );
        mistake(
            &route("credentials = [\"X-Key\", \"x-key\"]"),
            "route[1].credentials[2]",
            "already",
        );
        mistake(
            &route("credentials = [\"bearer\"]\nchallenge = \"basic\""),
            "route[1].challenge",
            "does not read",
        );
        for fine in [
            "credentials = [\"bearer\", \"PRIVATE-TOKEN\", \"X-Vault-Token\"]",
            "credentials = []\nanonymous = true",
            "credentials = [\"basic\"]\nchallenge = \"basic\"\nrealm = \"git\"",
            "methods = [\"GET\", \"PROPFIND\"]\nany_role = [\"admin\", \"ops lead\"]",
        ] {
            assert_eq!(mistakes(&route(fine)), Vec::<String>::new(), "{fine}");
        }
    }

    fn order(routes: &[(&str, &str)]) -> Vec<String> {
        let text: String = routes
            .iter()
            .map(|(path, methods)| format!("[[route]]\npath = \"{path}\"\nmethods = [{methods}]\n"))
            .collect();
        mistakes(&text)
    }

    #[test]
    fn a_route_that_can_never_apply_is_refused_with_the_one_in_its_way() {
        let told = order(&[("/a/**", ""), ("/b", ""), ("/a/*.git", "\"GET\"")]);
        assert!(
            matches!(told.as_slice(), [only] if only.starts_with("line 7, column 1: route[3]: ") && only.contains("route 1 (/a/**)")),
            "{told:#?}"
        );
        // Taken together, two can be in the way of a third; HEAD goes where GET does.
        let told = order(&[
            ("/a", "\"GET\""),
            ("/a", "\"POST\""),
            ("/a", "\"HEAD\", \"POST\""),
        ]);
        assert!(
            matches!(told.as_slice(), [only] if only.contains("route[3]: ")),
            "{told:#?}"
        );
        for fine in [
            &[("/a", "\"GET\""), ("/a", "")][..],
            &[("/a", "\"HEAD\""), ("/a", "\"GET\"")],
            &[("/a/*.git", ""), ("/a/**", "")],
            &[("/a", "\"GET\""), ("/**", "\"GET\"")],
        ] {
            assert_eq!(order(fine), Vec::<String>::new(), "{fine:?}");
        }
    }
}
