//! The description of the HTTP interface: it has what is served, all of it, and its examples do what it says.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::daemon::{Daemon, NO_ENGINE};
use support::http::{Reply, at, request, watcher};

/// What is served about itself.
const DOCUMENT: &str = include_str!("../controlplane/src/api/openapi.json");
/// Where routes are made.
const SOURCES: [&str; 4] = [
    include_str!("../controlplane/src/api/mod.rs"),
    include_str!("../controlplane/src/api/skydns.rs"),
    include_str!("../controlplane/src/api/v1/mod.rs"),
    include_str!("../controlplane/src/api/v1/cache.rs"),
];
/// What catches whatever has no route.
const CATCH_ALL: &str = "/v1/{*rest}";

/// The paths of all routes, as the description writes them.
fn routes() -> BTreeSet<String> {
    let made = SOURCES.iter().flat_map(|source| source.split(".route(").skip(1));
    let paths = made.map(|rest| rest.split('"').nth(1).expect("a route begins with its path"));
    paths
        .filter(|path| *path != CATCH_ALL)
        .map(|path| path.replace("{*", "{"))
        .collect()
}

/// The operations of the description: method in upper case, path, and what it says.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods");
        let each = methods
            .iter()
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()));
        each.collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// What `value` is, or what it leads to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(place) => document
            .pointer(place.trim_start_matches('#'))
            .expect("it is there"),
        None => value,
    }
}

#[test]
fn the_description_has_each_route_and_method_and_no_other() {
    let daemon = Daemon::start(NO_ENGINE);
    let served = request(daemon.http(), "GET /v1/openapi.json", &[], "").json();
    assert_eq!(served, serde_json::from_str::<Value>(DOCUMENT).expect("JSON"));
    assert_eq!(served["openapi"], "3.1.0");

    let paths = served["paths"].as_object().expect("paths");
    let described: BTreeSet<_> = paths.keys().cloned().collect();
    assert_eq!(described, routes());

    for path in described {
        let asked = path.replace("{id}", "w1").replace("{uuid}", "w1");
        let refused = request(daemon.http(), &format!("TRACE {asked}"), &[], "");
        if path.starts_with("/raft") {
            assert_eq!(refused.status, 410, "{path}: whatever is asked for");
            continue;
        }
        assert_eq!(refused.status, 405, "{path}");
        let allowed = refused.header("allow").expect("the methods").to_owned();
        let allowed: BTreeSet<_> = allowed
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let methods = served["paths"][&path]
            .as_object()
            .expect("methods")
            .keys()
            .cloned()
            .collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

/// What an example of the description asks for: the path with its parameters, headers, and a body.
fn example(document: &Value, path: &str, operation: &Value) -> (String, Vec<String>, String) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let mut line = path.to_owned();
    let mut query = Vec::new();
    for parameter in &parameters {
        let parameter = resolved(document, parameter);
        let (name, example) = (parameter["name"].as_str().expect("a name"), &parameter["example"]);
        let example = example
            .as_str()
            .map_or_else(|| example.to_string(), str::to_owned);
        match parameter["in"].as_str() {
            Some("path") => line = line.replace(&format!("{{{name}}}"), &example),
            Some("query") if example != "null" => query.push(format!("{name}={example}")),
            _ => {}
        }
    }
    if !query.is_empty() {
        line = format!("{line}?{}", query.join("&"));
    }
    let contents = at(operation, "/requestBody/content")
        .as_object()
        .cloned()
        .unwrap_or_default();
    let with_example = contents
        .iter()
        .find(|(_, content)| content.get("example").is_some());
    match with_example {
        Some((kind, content)) => (
            line,
            vec![format!("Content-Type: {kind}")],
            content["example"].to_string(),
        ),
        None => (line, vec![], String::new()),
    }
}

/// Whether `reply` is one that the description has for `operation`.
fn check_described(document: &Value, operation: &Value, reply: &Reply) {
    let described = at(operation, &format!("/responses/{}", reply.status));
    assert!(!described.is_null(), "{operation}: {reply:?}");
    let contents = resolved(document, described)["content"].as_object();
    let kinds: BTreeSet<_> = contents
        .into_iter()
        .flatten()
        .map(|(kind, _)| kind.as_str())
        .collect();
    let kind = reply
        .header("content-type")
        .and_then(|kind| kind.split(';').next());
    match kind {
        Some(kind) if !reply.body.is_empty() => assert!(kinds.contains(kind), "{operation}: {reply:?}"),
        _ => assert!(kinds.is_empty(), "{operation}: {reply:?}"),
    }
}

#[test]
fn the_examples_of_the_description_do_what_it_says() {
    let daemon = Daemon::start(NO_ENGINE);
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let mut operations = operations(&document);
    // What is registered first is there for the others, callbacks among them, and what is removed last.
    let order = ["PUT", "GET", "PATCH", "POST", "DELETE"];
    operations.sort_by_key(|(method, path, _)| {
        let place = order.iter().position(|other| other == method);
        (place, path.contains("callbacks"))
    });
    for (method, path, operation) in operations {
        if path == "/v1/events" {
            assert!(watcher(daemon.http(), None).size_hint().1.is_none());
            continue;
        }
        let (line, headers, body) = example(&document, &path, &operation);
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let reply = request(daemon.http(), &format!("{method} {line}"), &headers, &body);
        // There is no engine, and there was never a Raft.
        let is_well = (200..300).contains(&reply.status) || path == "/ready" || path.starts_with("/raft");
        assert!(is_well, "{method} {line}: {reply:?}");
        check_described(&document, &operation, &reply);
        if path == "/v1/services" {
            assert_eq!(
                reply.json()["services"].as_array().map(Vec::len),
                Some(1),
                "{reply:?}"
            );
        }
    }
}
