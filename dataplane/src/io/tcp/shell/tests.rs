//! One turn, in which several things are due at once.

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
fn nothing_is_asked_by_a_silent_connection_in_the_turn_that_gives_it_up() {
    let server = Silent::new();
    let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
    let (_publisher, reader) = dns::channel(Builder::new(vec![zone], 7, 1).unwrap().build());
    let (_writer, routes) = config::channel(server.config());
    let counters = Counters::new(&[0]);
    let (tcp_counters, streams) = counters.tcp_writers();
    let bound = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = bound.address();
    let setup = Setup {
        cores: vec![0],
        listeners: vec![bound.into_parts().1],
        reader,
        policy: Policy::new(false, Access::of(default_networks())),
        routes,
        cache: Share {
            settings: Settings::default(),
            flushes: Flusher::default().listen(),
        },
        seed: [7; 32],
        tls: Some(Silent::trust()),
        counters: tcp_counters,
        streams,
    };
    let mut shell = Shell::new(setup, None).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let ask = |client: &mut TcpStream, name: u8| {
        let query = [
            &[0, 19, 0, name, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
            &[1, name, 0, 0, 1, 0, 1],
        ]
        .concat();
        client.write_all(&query).unwrap();
    };
    ask(&mut client, b'a');
    let start = Instant::now();
    while shell.worker.forwarder.under_way() == 0 && start.elapsed() < SOON {
        shell.turn(Some(SOON));
    }
    assert_eq!(shell.worker.forwarder.under_way(), 1);

    thread::sleep(TLS_SILENCE_MAX);
    ask(&mut client, b'b');
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
}
