//! One turn, in which several things are due at once.

use std::net::UdpSocket;
use std::thread;

use dns::{Builder, ZoneSettings};

use super::*;
use crate::access::{Access, default_networks};
use crate::cache::{Flusher, Settings};
use crate::counters::Counters;
use crate::io::bind::bind;
use crate::io::silent::Silent;
use crate::limits::TLS_SILENCE_MAX;

/// Longer than anything takes that is waited for here.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_query_that_comes_as_a_silent_connection_is_given_up_does_not_share_its_fate() {
    let server = Silent::new();
    let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
    let (_publisher, reader) = dns::channel(Builder::new(vec![zone], 7, 1).unwrap().build());
    let (_writer, routes) = config::channel(server.config());
    let counters = Counters::new(&[0]);
    let bound = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = bound.address();
    let setup = Setup {
        core: 0,
        listeners: bound.into_parts().0,
        reader,
        policy: Policy::new(false, Access::of(default_networks())),
        routes,
        cache: Share {
            settings: Settings::default(),
            flushes: Flusher::default().listen(),
        },
        seed: [7; 32],
        tls: Some(Silent::trust()),
        counters: counters.writer(0),
    };
    let mut shell = Shell::new(setup, None);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |name: u8| {
        let query = [
            &[0, name, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
            &[1, name, 0, 0, 1, 0, 1],
        ]
        .concat();
        client.send_to(&query, address).unwrap();
    };
    ask(b'a');
    assert_eq!(shell.turn(Some(SOON)), Turn::Busy);
    assert_eq!(shell.worker.forwarder.under_way(), 1);

    thread::sleep(TLS_SILENCE_MAX);
    ask(b'b');
    shell.turn(Some(SOON));
    assert_eq!(
        shell.worker.forwarder.under_way(),
        1,
        "the second has its own time"
    );
    assert_eq!(
        counters.total().forward_asks,
        2,
        "the first was not asked in vain once more"
    );
    let mut reply = [0; 512];
    client.set_nonblocking(true).unwrap();
    let length = client.recv(&mut reply).unwrap();
    assert_eq!((length > 12, reply[1], reply[3] & 0xf), (true, b'a', 2));
    assert!(client.recv(&mut reply).is_err(), "the second is not told yet");
}
