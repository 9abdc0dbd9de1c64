//! What becomes of containers of every kind.

use super::super::container::tests::{ID, inspect};
use super::*;
use crate::fixture::on;
use crate::service::{Health, Port, Protocol, Publish};

fn settings() -> ContainerSettings {
    ContainerSettings::new("dev", "host1", 30)
}

fn source() -> Source {
    Source::Engine("unix:///var/run/docker.sock".into())
}

fn published_with(container: Container, owner: Option<Owner>, settings: &ContainerSettings) -> Publication {
    let host = [on("bridge", "172.17.0.1"), on("shop", "172.18.0.1")];
    let source = source();
    let context = Context {
        source: &source,
        settings,
        host: &host,
    };
    publish(container, owner, context, &mut Words::default())
}

fn published(container: Container) -> Publication {
    published_with(container, None, &settings())
}

fn to_service(container: Container) -> Service {
    let publication = published(container);
    assert_eq!(publication.standing, Standing::Published);
    Service::clone(publication.services.as_ref().unwrap().first())
}

/// A container with these labels, `name=value` words, on two networks.
fn labelled(labels: &str) -> Container {
    let labels = labels.split_whitespace().filter_map(|word| word.split_once('='));
    let labels: Vec<_> = labels
        .map(|(label, value)| format!("{label:?}:{value:?}"))
        .collect();
    inspect(&format!(
        r#"{{"Name":"/web1","Config":{{"Image":"nginx","ExposedPorts":{{"80/tcp":{{}}}},"Labels":{{{}}}}},
             "NetworkSettings":{{"Networks":{{"front":{{"IPAddress":"10.1.0.2"}},"shop":{{"IPAddress":"172.18.0.2"}}}},
             "Ports":{{"80/tcp":[{{"HostIp":"0.0.0.0","HostPort":"8080"}}]}}}}}}"#,
        labels.join(",")
    ))
}

/// Its addresses, as `10.0.0.1 on x`, or why it has none.
fn reached(publication: &Publication) -> String {
    let Some(service) = publication.services.as_ref().map(Services::first) else {
        return publication.standing.word().to_owned();
    };
    let shown = service.addresses.iter().map(|address| match &address.network {
        Some(network) => format!("{} on {network}", address.ip),
        None => address.ip.to_string(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn redis(addresses: &[(&str, &str)]) -> Service {
    let port = |protocol, number| Port { protocol, number };
    Service {
        id: ServiceId {
            source: source(),
            id: ID.into(),
            part: 0,
        },
        environment: "dev".into(),
        service: "redis".into(),
        is_service_asked: false,
        instance: "redis1".into(),
        region: "host1".into(),
        uuid: "4a21a3b716".into(),
        compose: None,
        addresses: addresses.iter().map(|(network, ip)| on(network, ip)).collect(),
        ports: vec![port(Protocol::Tcp, 6379), port(Protocol::Udp, 53)].into(),
        health: Health::None,
        ttl_seconds: 30,
        until: None,
        wishes: None,
    }
}

#[test]
fn a_recorded_inspect_of_api_1_41_becomes_a_service() {
    let container = inspect(include_str!("../fixtures/inspect-1.41.json"));
    assert_eq!(
        to_service(container),
        redis(&[("bridge", "172.17.0.2"), ("backend", "172.18.0.2")])
    );
}

#[test]
fn an_inspect_shaped_as_api_1_52_without_top_level_addresses_becomes_a_service() {
    let container = inspect(include_str!("../fixtures/inspect-1.52.json"));
    let expected = redis(&[
        ("bridge", "172.17.0.2"),
        ("backend", "172.18.0.2"),
        ("backend", "fd00:18::2"),
    ]);
    assert_eq!(to_service(container), expected);
}

#[test]
fn an_inspect_with_health_two_networks_ipv6_and_compose_labels_becomes_a_service() {
    let publication = published(inspect(include_str!("../fixtures/inspect-compose.json")));
    assert_eq!(
        reached(&publication),
        "172.19.0.3 on shop_back, fd00:19::3 on shop_back, 172.20.0.3 on shop_front"
    );
    let service = publication.services.as_ref().unwrap().first();
    assert_eq!((&*service.service, service.health), ("web", Health::Healthy));
    let compose = service.compose.as_ref().unwrap();
    assert_eq!((&*compose.project, compose.number), ("shop", Some(2)));
}

fn alone(json: &str) -> Container {
    let mut container = inspect(json);
    container.attachments = labelled("").attachments;
    container
}

#[test]
fn a_container_run_by_image_id_is_a_service_of_its_own_name() {
    let container = alone(r#"{"Name":"/web1","Config":{"Image":"sha256:ab12"}}"#);
    assert_eq!(&*to_service(container).service, "web1");
}

#[test]
fn a_container_without_a_name_is_known_by_its_uuid() {
    let service = to_service(alone("{}"));
    assert_eq!(
        (&*service.instance, &*service.service),
        ("4a21a3b716", "4a21a3b716")
    );
    let short = Container {
        id: "ab".into(),
        ..alone("{}")
    };
    assert_eq!(&*to_service(short).uuid, "ab");
}

#[test]
fn a_container_of_compose_is_one_of_its_service_and_knows_its_project_and_number() {
    let labelled = |labels: &str| {
        let json =
            format!(r#"{{"Name":"/shop-web-2","Config":{{"Image":"shop-web","Labels":{{{labels}}}}}}}"#);
        let service = to_service(alone(&json));
        let compose = service
            .compose
            .map(|it| (it.project.to_string(), it.service.to_string(), it.number));
        (service.service.to_string(), compose)
    };
    let project = r#""com.docker.compose.project":"shop""#;
    let service = r#""com.docker.compose.service":"web""#;
    let number = r#""com.docker.compose.container-number":"2""#;
    let compose = |number| Some(("shop".to_owned(), "web".to_owned(), number));
    let all = format!("{project},{service},{number}");
    assert_eq!(labelled(&all), ("web".to_owned(), compose(Some(2))));
    assert_eq!(labelled(&format!("{project},{service}")).1, compose(None));
    let no_number = r#""com.docker.compose.container-number":"-""#;
    assert_eq!(
        labelled(&format!("{project},{service},{no_number}")).1,
        compose(None)
    );
    let image = ("shop-web".to_owned(), None);
    for labels in [
        "",
        project,
        service,
        r#""com.docker.compose.project":"","com.docker.compose.service":"web""#,
        &format!(r#"{all},"com.docker.compose.oneoff":"True""#),
    ] {
        assert_eq!(labelled(labels), image, "{labels}");
    }
}

#[test]
fn health_is_what_the_check_says_and_none_without_a_check() {
    for (state, expected) in [
        (
            r#"{"Health":{"Status":"starting","FailingStreak":0,"Log":[]}}"#,
            Health::Starting,
        ),
        (r#"{"Health":{"Status":"healthy"}}"#, Health::Healthy),
        (
            r#"{"Health":{"Status":"unhealthy","FailingStreak":3}}"#,
            Health::Unhealthy,
        ),
        (r#"{"Health":{"Status":"none"}}"#, Health::None),
        (r#"{"Health":{"Status":""}}"#, Health::None),
        (r#"{"Health":{"Status":"as good as new"}}"#, Health::None),
        (r#"{"Health":{}}"#, Health::None),
        (r#"{"Health":null}"#, Health::None),
        ("{}", Health::None),
    ] {
        let container = alone(&format!(r#"{{"State":{state}}}"#));
        assert_eq!(to_service(container).health, expected, "{state}");
    }
}

#[test]
fn labels_say_what_the_words_are_and_what_else_is_wanted() {
    let service = to_service(labelled(
        "skydock.service=cache skydock.instance=one skydock.environment=prod skydock.region=eu skydock.ttl=7 \
         skydock.name=shop.example skydock.weight=3 skydock.publish=always",
    ));
    let words = [
        &service.service,
        &service.instance,
        &service.environment,
        &service.region,
    ];
    assert_eq!(words.map(|word| &**word), ["cache", "one", "prod", "eu"]);
    assert_eq!(service.ttl_seconds, 7);
    let wishes = service.wishes.unwrap();
    assert_eq!(wishes.names, ["shop.example".parse().unwrap()]);
    assert_eq!(
        (wishes.weight, wishes.priority, wishes.publish),
        (Some(3), None, Publish::Always)
    );
    assert!(wishes.published_ports.is_empty(), "nobody is led to the host");
    assert_eq!(to_service(labelled("com.example.a=b")).wishes, None);
}

#[test]
fn a_label_beats_what_compose_says() {
    let service = to_service(labelled(
        "com.docker.compose.project=shop com.docker.compose.service=web skydock.service=cache",
    ));
    assert_eq!(
        (&*service.service, &*service.compose.unwrap().service),
        ("cache", "web")
    );
}

#[test]
fn whether_the_service_word_was_asked_for_is_known_even_where_it_is_that_of_compose() {
    let compose = "com.docker.compose.project=shop com.docker.compose.service=web";
    assert!(!to_service(labelled(compose)).is_service_asked);
    assert!(to_service(labelled(&format!("{compose} skydock.service=web"))).is_service_asked);
}

/// What neighbours call a container `web1` with these aliases on `shop`: `word on network`.
fn aliases(aliases: &str, rest: &str) -> Vec<String> {
    let container = inspect(&format!(
        r#"{{"Name":"/web1","NetworkSettings":{{"Networks":{{
            "bridge":{{"IPAddress":"10.1.0.2","Aliases":null}},
            "shop":{{"IPAddress":"172.18.0.2","Aliases":{aliases}}}}}}}{rest}}}"#
    ));
    let service = to_service(container);
    let shown = service.network_aliases();
    shown.map(|it| format!("{} on {}", it.word, it.network)).collect()
}

#[test]
fn neighbours_on_a_network_may_call_a_container_as_its_engine_says() {
    assert_eq!(
        aliases(r#"["db", "Primary.db"]"#, ""),
        ["db on shop", "Primary.db on shop"]
    );
    assert_eq!(aliases("null", ""), [] as [&str; 0]);
    // What engines and Compose add, and what it is called anyway.
    let short_id = format!("{ID:.12}");
    let compose =
        r#","Config":{"Labels":{"com.docker.compose.project":"s","com.docker.compose.service":"api"}}"#;
    let all = format!(r#"["{short_id}", "WEB1", "api", "{ID:.4}"]"#);
    assert_eq!(aliases(&all, compose), [format!("{ID:.4} on shop")]);
    let hosts = r#","HostConfig":{"NetworkMode":"host"}"#;
    assert_eq!(aliases(r#"["db"]"#, hosts), [] as [&str; 0]);
    let many: Vec<String> = (0..100).map(|number| format!("a{number}")).collect();
    assert_eq!(aliases(&format!("{many:?}"), "").len(), ALIASES_MAX);
}

#[test]
fn published_ports_are_carried_where_clients_are_led_to_the_host() {
    let settings = ContainerSettings {
        has_published_address: true,
        ..settings()
    };
    let publication = published_with(labelled(""), None, &settings);
    let wishes = publication
        .services
        .as_ref()
        .unwrap()
        .first()
        .wishes
        .as_ref()
        .unwrap();
    assert_eq!(wishes.published_ports[0].host_number, 8080);
}

#[test]
fn a_label_chooses_the_network_whose_address_is_primary() {
    assert_eq!(
        reached(&published(labelled(""))),
        "10.1.0.2 on front, 172.18.0.2 on shop"
    );
    let chosen = published(labelled("skydock.network=shop"));
    assert_eq!(reached(&chosen), "172.18.0.2 on shop, 10.1.0.2 on front");
    let wrong = published(labelled("skydock.network=back"));
    assert_eq!(reached(&wrong), "10.1.0.2 on front, 172.18.0.2 on shop");
    assert_eq!(
        wrong.complaints[0].to_string(),
        "label skydock.network=\"back\" is left aside: it has an address on front, shop; give one of these"
    );
}

#[test]
fn a_label_gives_addresses_instead_of_the_engines() {
    let given = published(labelled("skydock.ip=192.0.2.1,2001:db8::1"));
    assert_eq!(reached(&given), "192.0.2.1, 2001:db8::1");
    assert_eq!(given.services.unwrap().first().host(), "192.0.2.1");
}

#[test]
fn who_is_not_selected_is_not_published_and_it_is_known_why() {
    let opt_in = ContainerSettings {
        selection: Selection {
            opt_in: true,
            ..Selection::default()
        },
        ..settings()
    };
    let standing = |labels: &str| published_with(labelled(labels), None, &opt_in).standing;
    assert_eq!(standing(""), Standing::NotOptedIn);
    assert_eq!(standing("skydock.enable=true"), Standing::Published);
    let unread = published_with(labelled("skydock.enable=ja"), None, &opt_in);
    assert_eq!(
        (unread.standing, unread.complaints.len()),
        (Standing::NotOptedIn, 1)
    );
    assert_eq!(
        published(labelled("skydock.enable=false")).standing,
        Standing::Disabled
    );
}

fn with_mode(mode: &str, started: &str, networks: &str) -> Container {
    inspect(&format!(
        r#"{{"Name":"/x","Config":{{"Image":"x","ExposedPorts":{{"80/tcp":{{}}}}}},"State":{{"StartedAt":"{started}"}},
             "HostConfig":{{"NetworkMode":"{mode}"}},"NetworkSettings":{{"Networks":{{{networks}}},
             "Ports":{{"80/tcp":[{{"HostIp":"","HostPort":"8080"}}],"90/tcp":[{{"HostIp":"","HostPort":"9090"}}]}}}}}}"#
    ))
}

#[test]
fn a_container_on_the_hosts_network_is_reached_where_the_host_is() {
    let container = with_mode("host", "", r#""host":{"IPAddress":""}"#);
    assert_eq!(
        reached(&published(container.clone())),
        "172.17.0.1 on bridge, 172.18.0.1 on shop"
    );
    let (source, settings) = (source(), settings());
    let context = Context {
        source: &source,
        settings: &settings,
        host: &[],
    };
    let publication = publish(container, None, context, &mut Words::default());
    assert_eq!(publication.standing, Standing::NoHostAddress);
}

#[test]
fn a_container_without_a_network_has_no_names_and_it_is_known_why() {
    assert_eq!(
        published(with_mode("none", "", r#""none":{"IPAddress":""}"#)).standing,
        Standing::NoNetwork
    );
    assert_eq!(
        published(with_mode("bridge", "", "")).standing,
        Standing::NoAddress
    );
}

#[test]
fn a_container_in_anothers_network_is_reached_where_that_is() {
    let owner = || {
        with_mode(
            "shop",
            "2026-01-01T00:00:02.5Z",
            r#""shop":{"IPAddress":"10.0.0.2"}"#,
        )
    };
    let with = ContainerSettings {
        has_published_address: true,
        ..settings()
    };
    let joined = |started: &str, owner| {
        let mut joined = with_mode("container:ab", started, "");
        joined.ports.retain(|port| port.number == 80);
        joined.published_ports.clear();
        published_with(joined, owner, &with)
    };
    let running = || Some(Owner::Running(Box::new(owner())));
    let later = joined("2026-01-01T00:00:02.51Z", running());
    assert_eq!(reached(&later), "10.0.0.2 on shop");
    let ports = &later
        .services
        .as_ref()
        .unwrap()
        .first()
        .wishes
        .as_ref()
        .unwrap()
        .published_ports;
    assert_eq!(
        ports.iter().map(|it| it.host_number).collect::<Vec<_>>(),
        [8080],
        "9090 leads to the owner"
    );
    // The owner was restarted since: what the other one holds is its old network.
    assert_eq!(
        joined("2026-01-01T00:00:02Z", running()).standing,
        Standing::OwnerRestarted
    );
    assert_eq!(
        joined("2026-01-01T00:00:03Z", Some(Owner::Away)).standing,
        Standing::OwnerAway
    );
    let host = with_mode("host", "2026-01-01T00:00:02Z", "");
    let host = joined("2026-01-01T00:00:03Z", Some(Owner::Running(Box::new(host))));
    assert_eq!(reached(&host), "172.17.0.1 on bridge, 172.18.0.1 on shop");
}
