//! What comes back to whom, in what order, and for how long.

use super::*;

// fwd_udp; fwd_tcp, for this client has a connection.
#[test]
fn a_question_goes_out_and_its_answer_comes_back_to_who_asked() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    assert_eq!(asked.upstream, SocketAddr::from(([192, 0, 2, 1], 53)));
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    assert_eq!(scene.counters.total().forward_answers, 1);
}

// fwd_three, fwd_three_service.
#[test]
fn three_questions_at_once_have_an_answer_each_in_whatever_order_they_come() {
    let mut scene = Scene::with(1);
    let names = ["www1.example.com", "www2.example.com", "www3.example.com"];
    let clients = names.map(|name| scene.ask(name));
    let asked = names.map(|_| scene.asked());
    for (asked, address) in asked.iter().zip([40, 50, 60]).rev() {
        scene.say(asked, &reply(asked, NO_ERROR, &[address]));
    }
    for (client, address) in clients.into_iter().zip([40, 50, 60]) {
        assert_eq!(scene.told(client), (NO_ERROR, vec![address]));
    }
}

// fwd_waitudp, fwd_oneport: more questions than there are sockets.
#[test]
fn questions_that_share_a_socket_are_told_apart() {
    let mut scene = Scene::with(1);
    let count = crate::limits::UPSTREAM_SOCKETS_EACH_MAX + 50;
    let clients: Vec<_> = (0..count)
        .map(|number| scene.ask(&format!("www{number}.example.com")))
        .collect();
    let asked: Vec<_> = (0..count).map(|_| scene.asked()).collect();
    let shared = asked.iter().filter(|other| other.place == asked[count - 1].place);
    assert!(shared.count() > 1);
    for (number, asked) in asked.iter().enumerate() {
        scene.say(asked, &reply(asked, NO_ERROR, &[number as u8]));
    }
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(scene.told(client), (NO_ERROR, vec![number as u8]));
    }
}

// fwd_udptmout: every answer takes two seconds.
#[test]
fn an_answer_that_takes_longer_than_a_try_counts_while_its_client_waits() {
    let mut scene = Scene::with(1);
    let clients: Vec<_> = (1..=6)
        .map(|number| scene.ask(&format!("www{number}.example.com")))
        .collect();
    let first: Vec<_> = clients.iter().map(|_| scene.asked()).collect();
    scene.later(TRY_TIMEOUT);
    scene.later(TRY_TIMEOUT);
    assert_eq!(scene.sent.asked.len(), 12, "each is tried twice more");
    scene.later(Duration::from_millis(400));
    for (asked, client) in first.iter().zip(clients) {
        scene.say(asked, &reply(asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    }
}

// fwd_ttlexpire.
#[test]
fn an_answer_is_told_again_until_it_is_over_and_then_asked_for_again() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply_with_ttl(&asked, NO_ERROR, &[40], 2));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    scene.later(Duration::from_secs(1));
    let client = scene.ask("www.example.com");
    let (_, kept) = scene.take(client);
    assert_eq!(records(&kept).next().unwrap()[6..10], [0, 0, 0, 1]);
    assert!(scene.nothing_is_asked());
    scene.later(Duration::from_secs(3));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

// RFC 8020 would have it that there is nothing below; without DNSSEC nobody proves it.
#[test]
fn a_name_below_one_that_does_not_exist_is_asked_for_all_the_same() {
    let mut scene = Scene::with(1);
    let client = scene.ask("example.com");
    let asked = scene.asked();
    let mut gone = reply(&asked, NX_DOMAIN, &[]);
    gone[9] = 1;
    gone.extend(b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x0e\x10\x00\x16\x00\x00");
    gone.extend([0, 0, 0x0e, 0x10].repeat(5));
    scene.say(&asked, &gone);
    assert_eq!(scene.told(client), (NX_DOMAIN, vec![]));
    let again = scene.ask("example.com");
    assert_eq!(scene.told(again), (NX_DOMAIN, vec![]), "it is kept");
    assert!(scene.nothing_is_asked());
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}
