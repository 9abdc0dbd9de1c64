mod bounds;
mod contract;
mod new;
mod refused;
mod several;

use super::*;
use crate::fixture::{name, on, service};
use crate::plugin::container::{Attached, Binding, Described};

fn defaults() -> Defaults {
    Defaults {
        ttl_seconds: 30,
        environment: "dev".to_owned(),
    }
}

fn script(source: &str) -> Script {
    script_called("/p.js", source)
}

fn script_called(file: &str, source: &str) -> Script {
    Script::of(file.into(), source.into(), &defaults()).unwrap_or_else(|error| panic!("{error}"))
}

fn redis() -> Described {
    Described {
        id: "4a21a3b716b565ecfeebf669c15c26ac".into(),
        name: "/redis1".into(),
        image: "crosbymichael/redis:latest".into(),
        hostname: "box".into(),
        env: vec!["A=b".into()],
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        networks: vec![(
            "bridge".into(),
            Attached {
                ipv4: Some("172.17.0.4".parse().unwrap()),
                ..Attached::default()
            },
        )],
        ports: vec![
            ("6379/tcp".into(), vec![]),
            (
                "8080/tcp".into(),
                vec![Binding {
                    host_ip: "0.0.0.0".into(),
                    host_port: "80".into(),
                }],
            ),
        ],
        ..Described::default()
    }
}

/// What the container is without a plugin.
fn built_in() -> Service {
    Service {
        service: "redis".into(),
        instance: "redis1".into(),
        addresses: vec![on("bridge", "172.17.0.4"), on("back", "10.0.0.4")].into(),
        ..service("e", "redis1")
    }
}

fn made(source: &str) -> Made {
    made_by(&[script(source)])
}

fn made_by(scripts: &[Script]) -> Made {
    ask(
        scripts,
        &redis().seen(&built_in().addresses),
        built_in(),
        &defaults(),
        |_| (),
    )
}

/// The services that a plugin made without any failure.
fn services(source: &str) -> Vec<Service> {
    let made = made(source);
    assert_eq!(made.failed, [], "{source}");
    made.services
}

fn one(source: &str) -> Service {
    let mut services = services(source);
    assert_eq!(services.len(), 1, "{source}");
    services.pop().unwrap()
}

/// The service made of what `createService` returns.
fn returned(expression: &str) -> Service {
    one(&format!(
        "function createService(container) {{ return {expression}; }}"
    ))
}

fn words(service: &Service) -> [&str; 4] {
    [
        &service.service,
        &service.instance,
        &service.environment,
        &service.region,
    ]
}

/// That a plugin fails for a reason that says `expected`, and that the container keeps its built-in names.
fn fails(source: &str, expected: &str) -> PluginError {
    let made = made(source);
    assert_eq!(made.services, [built_in()], "{source}");
    assert_eq!(made.decided_by, None, "{source}");
    let [error] = made.failed.as_slice() else {
        panic!("{source}: {:?}", made.failed);
    };
    let text = error.to_string();
    assert!(
        text.starts_with("plugin /p.js") && text.contains("container redis1 (4a21a3b716b5): "),
        "{text}"
    );
    assert!(text.contains(expected), "{source}: {text}");
    assert!(text.len() < 600, "{} octets", text.len());
    error.clone()
}

/// As [`fails`], of what `createService` returns.
fn refused(expression: &str, expected: &str) {
    fails(
        &format!("function createService(container) {{\n  return {expression};\n}}"),
        expected,
    );
}
