//! What a script can see and give beyond the contract of 2014.

use super::*;
use crate::service::{Compose, NamedPort, Port, Protocol};

#[test]
fn null_and_an_empty_list_give_no_names_and_undefined_leaves_the_built_in_ones() {
    assert_eq!(services("function createService() { return null; }"), []);
    assert_eq!(services("function createService() { return []; }"), []);
    assert_eq!(services("function createService() {}"), [built_in()]);
}

#[test]
fn a_list_gives_several_services() {
    let source = "function createService(c) {
        return Object.keys(c.NetworkSettings.Ports).map(function (port) {
            return {Service: 'redis-' + parseInt(port), Port: parseInt(port)};
        });
    }";
    let services = services(source);
    let found: Vec<_> = services
        .iter()
        .map(|it| (&*it.service, it.wishes.as_ref().unwrap().port))
        .collect();
    assert_eq!(found, [("redis-6379", Some(6379)), ("redis-8080", Some(8080))]);
}

#[test]
fn only_the_first_of_several_has_the_names_of_its_compose_project() {
    let compose = Compose {
        project: "shop".into(),
        service: "web".into(),
        number: None,
    };
    let built_in = Service {
        compose: Some(Box::new(compose)),
        ..built_in()
    };
    let several = script("function createService() { return [{}, {Service: 'b'}]; }");
    let made = ask(
        [&several],
        &redis().seen(&built_in.addresses),
        built_in,
        &defaults(),
        |_| (),
    );
    let compose: Vec<_> = made.services.iter().map(|it| it.compose.is_some()).collect();
    assert_eq!(compose, [true, false]);
}

#[test]
fn everything_that_a_service_can_ask_for_is_taken() {
    let service = returned(
        "{Region: 'eu', Priority: 5, Weight: '0', Text: ['a', 'b c'], Names: ['shop.example', '*.shop.example'],
          Ports: [{Port: 8080, Name: 'HTTP'}, '53/udp', 9090]}",
    );
    let port = |protocol, number| Port { protocol, number };
    assert_eq!(&*service.region, "eu");
    assert_eq!(
        *service.ports,
        [
            port(Protocol::Tcp, 8080),
            port(Protocol::Tcp, 9090),
            port(Protocol::Udp, 53)
        ]
    );
    let wishes = service.wishes.unwrap();
    assert_eq!(
        (wishes.priority, wishes.weight, wishes.port),
        (Some(5), Some(0), Some(8080))
    );
    assert_eq!(wishes.texts, ["a", "b c"]);
    assert_eq!(wishes.names, [name("shop.example"), name("*.shop.example")]);
    let named = NamedPort {
        name: "http".into(),
        port: port(Protocol::Tcp, 8080),
    };
    assert_eq!(wishes.named_ports, [named]);
}

#[test]
fn names_may_stand_in_one_text_and_ports_may_be_those_of_the_container() {
    let wishes = returned("{Names: 'a.example, b.example', Text: 'one'}")
        .wishes
        .unwrap();
    assert_eq!(wishes.names, [name("a.example"), name("b.example")]);
    assert_eq!(wishes.texts, ["one"]);
    let service = returned("{Ports: container.NetworkSettings.Ports}");
    let numbers: Vec<_> = service.ports.iter().map(|port| port.number).collect();
    assert_eq!(numbers, [6379, 8080]);
    assert_eq!(service.wishes.unwrap().port, Some(6379));
}

#[test]
fn a_script_sees_what_is_new_on_a_container() {
    let service = returned(
        "{Service: container.Labels.team, Instance: container.Hostname + container.Env.A,
          Environment: container.Health, Region: container.Compose === null ? 'alone' : 'project'}",
    );
    assert_eq!(words(&service), ["blue", "boxb", "none", "alone"]);
}

#[test]
fn a_function_may_be_a_constant_and_may_use_todays_javascript() {
    let source = "const createService = ({Labels: {team = 'none'}, ...rest}) => ({Service: `${team}-${rest.Name?.slice(1)}`});";
    assert_eq!(&*one(source).service, "blue-redis1");
}

#[test]
fn a_filter_leaves_containers_out_but_not_by_forgetting_to_say() {
    let filter = |body: &str| {
        services(&format!(
            "function filterContainer(container) {{ {body} }}\nfunction createService() {{ return {{Service: 's'}}; }}"
        ))
        .len()
    };
    assert_eq!(filter("return false;"), 0);
    assert_eq!(filter("return container.Labels.team === 'red';"), 0);
    assert_eq!(filter("return container.Labels.team === 'blue';"), 1);
    assert_eq!(filter(""), 1);
    assert_eq!(
        services("function filterContainer() { return true; }"),
        [built_in()]
    );
}

#[test]
fn names_sees_each_service_and_gives_it_names_of_its_own() {
    let source = "function names(service, container) {
        return [service.Service + '.' + container.Labels.team + '.example'];
    }";
    assert_eq!(one(source).wishes.unwrap().names, [name("redis.blue.example")]);
    let both = "function createService() { return [{Service: 'a'}, {Service: 'b', Names: 'kept.example'}]; }
        function names(service) { return service.Service === 'a' ? 'a.example,c.example' : undefined; }";
    let found: Vec<_> = services(both)
        .into_iter()
        .map(|service| service.wishes.unwrap().names)
        .collect();
    assert_eq!(
        found,
        [
            vec![name("a.example"), name("c.example")],
            vec![name("kept.example")]
        ]
    );
    let none = "function createService() { return {Names: 'a.example'}; } function names() { return null; }";
    assert_eq!(one(none).wishes, None);
}
