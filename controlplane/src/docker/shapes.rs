//! What engines of every age say: `fixtures` holds what Docker 20.10 and Podman 4.3 said when asked, and the same changed by
//! hand into what is documented of Docker 26 and 29, with words that are still to come. `fixtures/README.md` says which is which.

use serde_json::Value;

use super::container::Container;
use super::events::News;
use super::listed::Listed;
use super::publish::{Context, publish};
use super::words::Words;
use super::*;
use crate::service::Health;

struct Said(Value);

impl Said {
    fn of(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    fn octets(&self, part: &str) -> Vec<u8> {
        self.0[part].to_string().into_bytes()
    }

    /// Each event: what it asks for.
    fn effects(&self) -> Vec<String> {
        let events = self.0["events"].as_array().unwrap().iter();
        let news = events.map(|event| News::of(wire::read(event.to_string().as_bytes()).unwrap()));
        let shown = news.map(|news| match news {
            Some(News::Container(event)) if *event.container == *self.id() => format!("{:?}", event.effect),
            Some(News::Container(event)) => format!("{:?} of {}", event.effect, event.container),
            Some(News::Networks) => "Networks".to_owned(),
            None => "-".to_owned(),
        });
        shown.collect()
    }

    fn id(&self) -> String {
        self.0["inspect"]["Id"].as_str().unwrap().to_owned()
    }
}

/// What every engine's answers come to: the container's words, addresses and health.
fn check(text: &str, networks: &[&str], addresses: &str, health: Health) -> Said {
    let said = Said::of(text);
    let container = Container::from_inspect(said.id().into(), wire::read(&said.octets("inspect")).unwrap());
    let list: Vec<wire::Summary> = wire::read_list(&said.octets("list")).unwrap();
    let (listed, told) = Listed::from_summary(list.into_iter().next().unwrap()).unwrap();
    assert_eq!((*listed.id).to_owned(), said.id());
    assert_eq!((&*listed.name, listed.is_alive()), ("fx1", true));
    assert!(
        !listed.differs_from(Some(container.fingerprint())),
        "list and inspect say the same"
    );

    let list = networks::read(wire::read_list(&said.octets("networks")).unwrap());
    let names: Vec<_> = list.networks.iter().map(|network| &*network.name).collect();
    assert_eq!(names, networks);
    assert!(
        list.host
            .iter()
            .all(|address| address.ip.to_string().ends_with(".1")),
        "{:?}",
        list.host
    );

    let source = Source::Engine("e".into());
    let settings = ContainerSettings {
        has_published_address: true,
        ..ContainerSettings::new("dev", "here", 30)
    };
    let context = Context {
        source: &source,
        settings: &settings,
        host: &list.host,
    };
    let publication = publish(container, None, context, &mut Words::default());
    // Docker's list tells as much as an inspect does; Podman's does not say whose network a container has.
    assert_eq!(told.is_none(), text.contains("Podman"));
    if let Some(told) = told {
        assert_eq!(publish(told, None, context, &mut Words::default()), publication);
    }
    let services = publication.services.unwrap();
    let service = services.first();
    assert_eq!((&*service.instance, &*service.service), ("fx1", "cache"));
    let compose = service.compose.as_ref().unwrap();
    assert_eq!(
        (&*compose.project, &*compose.service, compose.number),
        ("shop", "web", Some(1))
    );
    let shown = service
        .addresses
        .iter()
        .map(|it| format!("{} on {}", it.ip, it.network.as_deref().unwrap()));
    assert_eq!(shown.collect::<Vec<_>>().join(", "), addresses);
    assert_eq!((service.health, service.announced_port()), (health, Some(6379)));
    let published = &service.wishes.as_ref().unwrap().published_ports;
    assert_eq!(
        published.iter().map(|it| it.host_number).collect::<Vec<_>>(),
        [28080]
    );
    said
}

#[test]
fn every_docker_is_understood_old_and_new() {
    let addresses = "172.31.153.22 on bridge, 172.17.0.2 on fxnet";
    let of = |text| check(text, &["bridge", "fxnet"], addresses, Health::Healthy);
    for text in [
        include_str!("fixtures/docker-20.10.json"),
        include_str!("fixtures/docker-26.json"),
        include_str!("fixtures/docker-29.json"),
    ] {
        let expected = [
            "Hint",
            "Hint",
            "Inspect",
            "-",
            "Health(Healthy)",
            "Inspect",
            "Withdraw",
            "Inspect",
            "Signal(1)",
            "Signal(15)",
            "Withdraw",
            "-",
            "Forget",
            "Networks",
        ];
        assert_eq!(of(text).effects(), expected);
    }
}

#[test]
fn podman_is_understood() {
    let text = include_str!("fixtures/podman-4.3.json");
    let said = check(text, &["bridge", "n2"], "10.89.0.2 on n2", Health::None);
    // Its kill does not say which signal it was.
    let expected = [
        "Withdraw", "Inspect", "Inspect", "Hint", "Hint", "-", "Withdraw", "Forget",
    ];
    assert_eq!(said.effects(), expected);
}
