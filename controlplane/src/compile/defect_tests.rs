//! What SkyDNS v1 and skydock got wrong, one test each.

use dns::{Moment, RType};

use super::tests::{CLIENT, came, compiler};
use super::*;
use crate::fixture::{addresses, answer, name, service};

fn web(instance: &str, change: impl FnOnce(&mut Service)) -> Service {
    let mut web = service("e", instance);
    change(&mut web);
    web
}

fn compiled(services: &[Service]) -> Snapshot {
    let mut compiler = compiler();
    for service in services {
        assert!(compiler.apply(&came(service)).failed.is_none());
    }
    compiler.compile().0
}

// SkyDNS compared texts: `foodocker` ended in `docker`.
#[test]
fn a_zone_ends_at_the_boundary_of_a_label() {
    let snapshot = compiled(&[web("web1", |_| ())]);
    for owner in ["foodocker", "web1.foodocker", "xcorp.example", "docker.example"] {
        assert_eq!(addresses(&snapshot, owner), "not ours", "{owner}");
    }
}

// SkyDNS asked for SRV as well, and took that failure for the name's.
#[test]
fn aaaa_of_a_name_with_an_a_record_alone_is_nodata_not_nxdomain() {
    let only = web("web1", |_| ());
    let snapshot = compiled(std::slice::from_ref(&only));
    let uuid = format!("{}.docker", only.uuid);
    for owner in [&uuid, "web1.docker", "web.dev.docker", "dev.docker", "docker"] {
        let aaaa = answer(&snapshot, CLIENT, &name(owner), RType::AAAA);
        assert_eq!(aaaa, Err("nodata"), "{owner}");
    }
    assert_eq!(
        answer(&compiled(&[]), CLIENT, &name("docker"), RType::AAAA),
        Err("nodata")
    );
}

// SkyDNS looked for other regions only where the asked one had a match.
#[test]
fn a_region_without_services_falls_back_to_the_others() {
    let snapshot = compiled(&[web("web1", |web| web.region = "east".into())]);
    for owner in ["west.web1.web.dev.docker", "west.*.web.dev.docker"] {
        let qname = name(owner);
        let question = dns::Question {
            qname: qname.as_ref(),
            qtype: RType::SRV,
            qclass: dns::Class::IN,
        };
        let found = snapshot.lookup(&question, CLIENT.parse().unwrap());
        let dns::Lookup::Matches(matches) = found else {
            panic!("{owner} is denied");
        };
        let packet = [
            &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            qname.octets(),
            &[0, 33, 0, 1],
        ]
        .concat();
        let mut buffer = packet.clone();
        buffer.resize(512, 0);
        let head = (&dns::Query::parse(&packet).unwrap()).into();
        let mut reply = dns::Reply::begin(&mut buffer, head, 512, 1232);
        assert_eq!(
            matches.write(RType::SRV, 0, Moment::of_milliseconds(0), &mut reply),
            dns::snapshot::Written::Whole
        );
        let length = reply.finish();
        let priority = &buffer[packet.len() + 12..length][..2];
        assert_eq!(priority, [0, 20], "{owner}");
    }
}

// A dot in a service's name made its registry key one level too deep for every query.
#[test]
fn a_service_with_dots_in_its_name_is_found_with_hyphens() {
    let mut dotted = web("web.1", |web| web.service = "my.app".into());
    dotted.addresses = vec![IpAddr::from([10, 0, 0, 1]).into()].into();
    let snapshot = compiled(&[dotted]);
    for owner in [
        "my-app.dev.docker",
        "web-1.my-app.dev.docker",
        "web-1.docker",
        "*.my-app.dev.docker",
    ] {
        assert_eq!(addresses(&snapshot, owner), "10.0.0.1", "{owner}");
    }
}
