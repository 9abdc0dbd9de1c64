//! Batches over loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use dns::Rcode;

use super::*;
use crate::io::bind::bind;

fn listener(address: &str) -> (Listener, SocketAddr) {
    let bound = bind(address.parse().unwrap(), 1).unwrap();
    let address = bound.address();
    (bound.into_parts().0.pop().unwrap(), address)
}

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn receive(batch: &mut Batch, listener: &Listener) -> usize {
    let mut set = PollSet::with_capacity(1);
    set.push(listener.as_fd());
    assert!(set.wait(Some(Duration::from_secs(5))));
    batch.receive(listener).unwrap()
}

/// Turns each datagram into the reply "re: " and itself.
fn reply_to_all(batch: &mut Batch) {
    for datagram in batch.datagrams() {
        datagram.buffer.copy_within(..datagram.len, 4);
        datagram.buffer[..4].copy_from_slice(b"re: ");
        *datagram.outcome = Outcome::Reply {
            length: datagram.len + 4,
            rcode: Rcode::NO_ERROR,
            truncated: false,
        };
    }
}

#[test]
fn a_batch_takes_all_that_is_queued_and_answers_those_it_should() {
    let (listener, address) = listener("127.0.0.1:0");
    let mut batch = Batch::new();
    assert_eq!(batch.receive(&listener).unwrap(), 0);
    let clients: Vec<_> = (0..5).map(|_| client("127.0.0.1:0")).collect();
    for client in &clients {
        client.send_to(b"hello", address).unwrap();
    }
    assert_eq!(receive(&mut batch, &listener), 5);
    reply_to_all(&mut batch);
    *batch.datagrams().nth(1).unwrap().outcome = Outcome::Drop;
    *batch.datagrams().nth(3).unwrap().outcome = Outcome::Forward;
    assert_eq!(batch.send(&listener), Sent { sent: 3, dropped: 0 });
    for (place, client) in clients.iter().enumerate() {
        client.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        match client.recv(&mut buffer) {
            Ok(len) => assert_eq!((&buffer[..len], place % 2), (b"re: hello".as_slice(), 0)),
            Err(_) => assert_eq!(place % 2, 1),
        }
    }
}

#[test]
fn a_burst_wider_than_a_batch_is_taken_by_several() {
    let (listener, address) = listener("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    for _ in 0..BATCH_DATAGRAMS_MAX + 3 {
        client.send_to(b"x", address).unwrap();
    }
    let mut batch = Batch::new();
    assert_eq!(batch.receive(&listener).unwrap(), BATCH_DATAGRAMS_MAX);
    assert_eq!(batch.receive(&listener).unwrap(), 3);
    assert_eq!(batch.datagrams().count(), 3);
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    for (wildcard, asked) in [
        ("0.0.0.0:0", "127.0.0.2"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "::1"),
    ] {
        let (listener, address) = listener(wildcard);
        let asked = SocketAddr::new(asked.parse().unwrap(), address.port());
        let client = client(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        client.send_to(b"who", asked).unwrap();
        let mut batch = Batch::new();
        assert_eq!(receive(&mut batch, &listener), 1);
        let (peer, local) = batch
            .datagrams()
            .map(|datagram| (datagram.peer, datagram.local))
            .next()
            .unwrap();
        reply_to_all(&mut batch);
        batch.send(&listener);
        let mut buffer = [0; 64];
        assert_eq!(client.recv_from(&mut buffer).unwrap(), (7, asked));
        // And so does one sent later, by itself.
        send(&listener, b"late", peer.unwrap(), local).unwrap();
        assert_eq!(client.recv_from(&mut buffer).unwrap(), (4, asked));
    }
}

#[test]
fn a_datagram_longer_than_the_buffer_is_of_no_use() {
    let (listener, address) = listener("127.0.0.1:0");
    client("127.0.0.1:0")
        .send_to(&[0; DATAGRAM_OCTETS_MAX + 1], address)
        .unwrap();
    let mut batch = Batch::new();
    assert_eq!(receive(&mut batch, &listener), 1);
    assert_eq!(batch.datagrams().next().unwrap().peer, Err(Unusable::Oversize));
}

#[test]
fn one_reply_that_the_kernel_refuses_does_not_hold_back_the_others() {
    let (listener, address) = listener("0.0.0.0:0");
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
    let clients: Vec<_> = (0..4).map(|_| client("127.0.0.1:0")).collect();
    for client in &clients {
        client.send_to(b"x", address).unwrap();
    }
    let mut batch = Batch::new();
    assert_eq!(receive(&mut batch, &listener), 4);
    reply_to_all(&mut batch);
    // The first and the third would have to leave from an address that this host does not have.
    for place in [0, 2] {
        let control = &mut batch.slots[place].control;
        control.write(Local::V4(Ipv4Addr::new(192, 0, 2, 1)));
    }
    assert_eq!(batch.send(&listener), Sent { sent: 2, dropped: 2 });
    assert_eq!(clients[1].recv(&mut [0; 64]).unwrap(), 5);
    assert_eq!(clients[3].recv(&mut [0; 64]).unwrap(), 5);
}

#[test]
fn a_datagram_from_port_0_or_of_no_known_family_cannot_be_answered() {
    let (listener, address) = listener("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let mut batch = Batch::new();
    for spoil in [
        |name: &mut Name| name.0[2..4].fill(0),
        |name: &mut Name| name.0[..2].fill(0),
    ] {
        client.send_to(b"x", address).unwrap();
        assert_eq!(receive(&mut batch, &listener), 1);
        spoil(&mut batch.slots[0].name);
        assert_eq!(
            batch.datagrams().next().unwrap().peer,
            Err(Unusable::Unanswerable)
        );
    }
}
