use super::*;
use crate::fixture::{on, service};
use crate::service::{Addresses, Compose};

fn naming(zones: &[&str]) -> Naming {
    Naming::new(zones.iter().map(|zone| zone.parse().unwrap()).collect())
}

fn texts(names: &Names, role: Role) -> Vec<String> {
    let places = names.places.iter().filter(|(_, its)| *its == role);
    places.map(|(name, _)| name.to_string()).collect()
}

#[test]
fn a_service_has_the_names_of_the_grammar_and_two_short_ones() {
    let mut redis = service("e", "Redis1");
    redis.service = "redis".into();
    redis.uuid = "0123456789".into();
    redis.addresses = vec![on("bridge", "172.17.0.4"), on("bridge", "fd00::4")].into();
    let names = naming(&["docker"]).names(&redis).unwrap().unwrap();
    for (role, expected) in [
        (Role::Environment, "dev.docker"),
        (Role::Service, "redis.dev.docker"),
        (Role::Instance, "redis1.redis.dev.docker"),
        (Role::Uuid, "0123456789.docker"),
        (Role::Container, "redis1.docker"),
    ] {
        assert_eq!(texts(&names, role), [expected]);
    }
    assert_eq!(names.canonical.to_string(), "redis1.redis.dev.docker");
    let reverse = texts(&names, Role::Reverse);
    assert_eq!(
        (reverse.len(), reverse[0].as_str()),
        (2, "4.0.17.172.in-addr.arpa")
    );
    assert_eq!((names.places.len(), names.mapped), (7, vec![]));
}

#[test]
fn a_container_of_a_compose_project_has_its_names_too() {
    let names = |number, project: &str| {
        let compose = Compose {
            project: project.into(),
            service: "Web".into(),
            number,
        };
        let web = Service {
            compose: Some(Box::new(compose)),
            ..service("e", "shop-web-2")
        };
        naming(&["docker"]).names(&web).unwrap().unwrap()
    };
    let second = names(Some(2), "my.shop");
    assert_eq!(texts(&second, Role::ComposeService), ["web.my-shop.docker"]);
    assert_eq!(texts(&second, Role::ComposeInstance), ["2.web.my-shop.docker"]);
    assert_eq!(texts(&second, Role::ComposeBare), ["web.docker"]);
    let mapped: Vec<_> = second.mapped.iter().map(Mapping::to_string).collect();
    let expected = r#"project (of Compose) "my.shop" is no DNS label; ask for "my-shop""#;
    assert_eq!(mapped, [expected]);
    assert_eq!(texts(&names(None, "shop"), Role::ComposeInstance), [""; 0]);
    assert_eq!(texts(&names(Some(1), ""), Role::ComposeBare), [""; 0]);
}

#[test]
fn each_zone_has_all_names_and_the_first_one_is_canonical() {
    let names = naming(&["docker", "corp.example"])
        .names(&service("e", "web1"))
        .unwrap()
        .unwrap();
    assert_eq!(names.places.len(), 2 * 5 + 1);
    assert_eq!(names.canonical.to_string(), "web1.web.dev.docker");
    assert_eq!(
        texts(&names, Role::Container),
        ["web1.docker", "web1.corp.example"]
    );
}

#[test]
fn an_endpoint_holds_the_labels_right_to_left_and_what_it_answers() {
    let web = service("e", "web1");
    let endpoint = naming(&["docker"]).names(&web).unwrap().unwrap().endpoint;
    let host = web.host().replace('.', "-");
    let expected = ["dev", "web", "web1", "here", host.as_str(), &*web.uuid];
    assert_eq!(
        endpoint
            .labels
            .map(|label| String::from_utf8(label.into()).unwrap()),
        expected
    );
    assert_eq!(
        (endpoint.port, endpoint.ttl_seconds, endpoint.ipv4.len()),
        (Some(80), 30, 1)
    );
}

#[test]
fn a_service_without_an_address_has_no_names() {
    let mut web = service("e", "web1");
    web.addresses = Addresses::default();
    assert!(naming(&["docker"]).names(&web).unwrap().is_none());
}

#[test]
fn a_changed_word_is_reported_but_case_and_host_are_not() {
    let mut web = service("e", "Web1");
    web.region = "my.host.example".into();
    let mapped = naming(&["docker"]).names(&web).unwrap().unwrap().mapped;
    let [region] = mapped.as_slice() else {
        panic!("{mapped:?}")
    };
    assert_eq!(region.kind, Kind::Region);
    assert_eq!(
        region.to_string(),
        r#"region "my.host.example" is no DNS label; ask for "my-host-example""#
    );
}

#[test]
fn an_error_names_the_service_and_the_way_out() {
    let mut web = service("e", "web1");
    web.environment = "".into();
    let empty = naming(&["docker"]).names(&web).unwrap_err().to_string();
    assert_eq!(
        empty,
        "\"web1\" (id-of-web1) gets no names: its environment is empty; give --environment a word"
    );

    let mut web = service("e", &"i".repeat(63));
    web.service = "s".repeat(63).into();
    let zone = ["z".repeat(40), "z".repeat(40), "z".repeat(40)].join(".");
    let long = naming(&[&zone]).names(&web).unwrap_err().to_string();
    assert!(
        long.contains("255 octets") && long.contains("shorten instance"),
        "{long}"
    );
}

#[test]
fn a_name_belongs_to_the_zone_it_ends_in() {
    let naming = naming(&["docker", "corp.example"]);
    let zone = |text: &str| naming.zone_of(&text.parse().unwrap()).map(Name::to_string);
    assert_eq!(zone("web.dev.docker").as_deref(), Some("docker"));
    assert_eq!(zone("corp.example").as_deref(), Some("corp.example"));
    assert_eq!(zone("4.0.17.172.in-addr.arpa"), None);
}

#[test]
fn the_canonical_name_alone_is_that_of_all_names() {
    let naming = naming(&["docker", "corp.example"]);
    let mut web = service("e", "Web.1");
    web.environment = "all".into();
    let names = naming.names(&web).unwrap().unwrap();
    assert_eq!(naming.canonical(&web).as_ref(), Some(&names.canonical));
    let uuid = target(&web, &naming.zones[1]).unwrap();
    assert!(names.places.contains(&(uuid, Role::Uuid)));
}
