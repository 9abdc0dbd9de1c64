//! The plugins in `plugins/`, each tried on the containers that it is for.

use std::path::PathBuf;

use super::*;
use crate::fixture::{on, service};

/// What the plugin of this name makes of a container: each service's service, instance and environment, joined by dots.
struct Shipped {
    trial: Trial,
    container: Described,
}

impl Shipped {
    fn new(name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/{name}.js"));
        let defaults = Defaults {
            ttl_seconds: 30,
            environment: "dev".to_owned(),
        };
        Self {
            trial: Trial::load(&[file], defaults).unwrap_or_else(|error| panic!("{error}")),
            container: Described {
                id: "4a21a3b716b565ec".into(),
                name: "/redis1".into(),
                image: "crosbymichael/redis:7".into(),
                ..Described::default()
            },
        }
    }

    fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.container.labels.extend(labels);
        self
    }

    fn env(mut self, variables: &[&str]) -> Self {
        self.container.env = variables.iter().map(|it| (*it).to_owned()).collect();
        self
    }

    /// Ports, those that end with a `!` published.
    fn ports(mut self, ports: &[&str]) -> Self {
        let ports = ports.iter().map(|port| {
            let published = port.ends_with('!').then(|| Binding {
                host_ip: "0.0.0.0".into(),
                host_port: "1".into(),
            });
            (
                port.trim_end_matches('!').to_owned(),
                published.into_iter().collect(),
            )
        });
        self.container.ports = ports.collect();
        self
    }

    fn made(&self) -> Vec<Service> {
        let built_in = Service {
            service: "redis".into(),
            instance: "redis1".into(),
            addresses: vec![on("bridge", "172.17.0.4")].into(),
            ..service("e", "redis1")
        };
        let made = self
            .trial
            .run(&self.container.seen(&built_in.addresses), built_in);
        assert_eq!(made.failed, []);
        made.services
    }

    fn names(&self) -> Vec<String> {
        let shown = |it: &Service| format!("{}.{}.{}", it.instance, it.service, it.environment);
        self.made().iter().map(shown).collect()
    }
}

fn port(service: &Service) -> Option<u16> {
    service.wishes.as_ref().and_then(|wishes| wishes.port)
}

fn own_names(service: &Service) -> Vec<String> {
    let names = service.wishes.iter().flat_map(|wishes| &wishes.names);
    names.map(ToString::to_string).collect()
}

#[test]
fn default_names_by_container_and_image_and_takes_the_lowest_published_port() {
    let with = |ports: &[&str]| Shipped::new("default").ports(ports);
    assert_eq!(with(&[]).names(), ["redis1.redis.dev"]);
    for (ports, expected) in [
        (&[][..], 80),
        (&["6379/tcp", "26379/tcp"], 6379),
        (&["22/tcp", "8080/tcp!", "443/tcp!"], 443),
    ] {
        assert_eq!(port(&with(ports).made()[0]), Some(expected), "{ports:?}");
    }
    assert_eq!(*with(&[]).made()[0].addresses, [on("bridge", "172.17.0.4")]);
}

#[test]
fn container_env_names_by_variables_and_keeps_what_follows_a_second_equals_sign() {
    assert_eq!(Shipped::new("containerEnv").names(), ["redis1.redis.dev"]);
    let all = [
        "PATH=/bin",
        "DNS_SERVICE=cache",
        "DNS_INSTANCE=a=b",
        "DNS_ENVIRONMENT=prod",
        "DNS_TTL=5",
        "DNS_=x",
    ];
    let shipped = Shipped::new("containerEnv").env(&all);
    assert_eq!(shipped.names(), ["a=b.cache.prod"]);
    let service = &shipped.made()[0];
    assert_eq!((service.ttl_seconds, port(service)), (5, Some(80)));
}

#[test]
fn compose_makes_an_environment_of_a_project() {
    assert_eq!(Shipped::new("compose").names(), ["redis1.redis.dev"]);
    let with = |number| {
        let mut shipped = Shipped::new("compose");
        shipped.container.compose = Some(crate::service::Compose {
            project: "shop".into(),
            service: "web".into(),
            number,
        });
        shipped.names()
    };
    assert_eq!(with(Some(2)), ["web-2.web.shop"]);
    assert_eq!(with(None), ["redis1.web.shop"]);
}

#[test]
fn registrator_makes_a_service_of_each_port() {
    let with = |env: &[&str], ports: &[&str]| Shipped::new("registrator").env(env).ports(ports);
    let services = |shipped: Shipped| {
        let made = shipped.made();
        let shown = made.iter().map(|it| (it.service.to_string(), port(it)));
        shown.collect::<Vec<_>>()
    };
    let service = |name: &str, port| (name.to_owned(), port);
    let two = ["80/tcp!", "443/tcp"];
    assert_eq!(
        services(with(&["A=b"], &two)),
        [service("redis", None)],
        "none of its variables"
    );
    assert_eq!(
        services(with(&["SERVICE_NAME=db"], &["6379/tcp"])),
        [service("db", Some(6379))]
    );
    assert_eq!(services(with(&["SERVICE_NAME=db"], &[])), [service("db", None)]);
    assert_eq!(
        services(with(&["SERVICE_TAGS=www"], &two)),
        [service("redis-80", Some(80)), service("redis-443", Some(443))]
    );
    assert_eq!(
        services(with(&["SERVICE_80_NAME=http", "SERVICE_443_NAME=https"], &two)),
        [service("http", Some(80)), service("https", Some(443))]
    );
    assert_eq!(
        services(with(&["SERVICE_NAME=web", "SERVICE_443_IGNORE=true"], &two)),
        [service("web-80", Some(80))]
    );
    assert_eq!(services(with(&["SERVICE_IGNORE=true"], &two)), []);
    assert_eq!(
        services(with(&["SERVICE_IGNORE=", "SERVICE_NAME=x"], &["1/tcp"])),
        [service("x", Some(1))]
    );
}

#[test]
fn registrator_takes_labels_too_and_turns_tags_and_the_rest_into_texts() {
    let shipped = Shipped::new("registrator")
        .env(&[
            "SERVICE_NAME=db",
            r"SERVICE_TAGS=master, back\,ups",
            "SERVICE_REGION=us1",
            "SERVICE_ID=none",
        ])
        .labels(&[("SERVICE_REGION", "us2"), ("SERVICE_53_PROTO", "dns")])
        .ports(&["53/udp"]);
    let texts = shipped.made()[0].wishes.as_ref().unwrap().texts.clone();
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    assert_eq!(
        texts,
        ["proto=dns", "region=us2", "tag=master", "tag=back,ups", "tag=udp"]
    );
}

#[test]
fn dnsdock_reads_its_labels_and_its_variables() {
    let label = |name: &str, value: &str| (format!("com.dnsdock.{name}"), value.to_owned());
    let with = |labels: &[(&str, &str)]| {
        let labels: Vec<_> = labels.iter().map(|(name, value)| label(name, value)).collect();
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Shipped::new("dnsdock").labels(&labels)
    };
    assert_eq!(with(&[]).names(), ["redis1.redis.dev"]);
    assert_eq!(
        with(&[("name", "master"), ("image", "mysql")]).names(),
        ["master.mysql.dev"]
    );
    assert_eq!(
        with(&[("tags", "master"), ("name", "mysql"), ("region", "us2")]).names(),
        ["master.mysql.us2"]
    );
    assert_eq!(with(&[("ignore", "")]).names(), [""; 0]);
    let service = &with(&[
        ("alias", "db.docker,sql.docker"),
        ("ttl", "10"),
        ("ip_addr", "192.0.2.7"),
    ])
    .made()[0];
    assert_eq!(own_names(service), ["db.docker", "sql.docker"]);
    assert_eq!((service.ttl_seconds, &*service.host()), (10, "192.0.2.7"));
    let old = Shipped::new("dnsdock")
        .env(&["DNSDOCK_NAME=a", "DNSDOCK_IMAGE=b"])
        .names();
    assert_eq!(old, ["a.b.dev"]);
}

#[test]
fn traefik_adds_the_names_of_its_rules() {
    let of = |labels: &[(&str, &str)]| {
        let made = Shipped::new("traefik").labels(labels).made();
        assert_eq!(&*made[0].service, "redis", "what it is called otherwise stays");
        own_names(&made[0])
    };
    let router = "traefik.http.routers.shop.rule";
    for (rule, expected) in [
        ("Host(`shop.example`)", &["shop.example"][..]),
        (
            "Host(`a.example`) || Host(`b.example`, `c.example`)",
            &["a.example", "b.example", "c.example"],
        ),
        ("(Host(\"a.example\") && PathPrefix(`/x`))", &["a.example"]),
        ("Host(`a.example`) && !Host(`b.example`)", &["a.example"]),
        ("HostRegexp(`^.+\\.example$`)", &[]),
        ("PathPrefix(`/Host`)", &[]),
        ("Host(``)", &[]),
    ] {
        assert_eq!(of(&[(router, rule)]), expected, "{rule}");
    }
    assert_eq!(of(&[("traefik.tcp.routers.db.rule", "HostSNI(`*`)")]), [""; 0]);
    assert_eq!(
        of(&[("traefik.tcp.routers.db.rule", "HostSNI(`db.example`)")]),
        ["db.example"]
    );
    assert_eq!(
        of(&[("traefik.frontend.rule", "Host:a.example, b.example;PathPrefix:/x")]),
        ["a.example", "b.example"]
    );
    assert_eq!(
        of(&[("traefik.web.frontend.rule", "Host:a.example")]),
        ["a.example"]
    );
    assert_eq!(
        of(&[(router, "Host(`a.example`)"), ("traefik.enable", "false")]),
        [""; 0]
    );
    assert_eq!(
        of(&[("traefik.http.services.shop.rule", "Host(`a.example`)")]),
        [""; 0]
    );
}

#[test]
fn every_file_that_is_shipped_has_a_test_here() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".js").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "compose",
            "containerEnv",
            "default",
            "dnsdock",
            "registrator",
            "traefik"
        ]
    );
}
