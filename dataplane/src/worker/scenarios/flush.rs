//! What was asked of upstreams before an order to forget, and comes after it.

use super::*;
use crate::cache::Flush;

fn moment(scene: &mut Scene) {
    scene.later(Duration::from_millis(1));
}

#[test]
fn an_answer_to_what_was_asked_before_an_order_to_forget_is_told_and_not_kept() {
    for order in [Flush::All, Flush::Below("example.com".parse().unwrap())] {
        let mut scene = Scene::with(1);
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        moment(&mut scene);
        scene.flusher.flush(&order);
        moment(&mut scene);
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
        let client = scene.ask("www.example.com");
        assert_eq!(scene.told(client), (NO_ERROR, vec![41]), "and that is kept");
        assert!(scene.nothing_is_asked());
    }
}

#[test]
fn who_asks_after_an_order_to_forget_does_not_share_what_was_asked_before_it() {
    let mut scene = Scene::with(1);
    let before = scene.ask("www.example.com");
    let old = scene.asked();
    moment(&mut scene);
    scene.flusher.flush(&Flush::All);
    moment(&mut scene);
    let after = scene.ask("www.example.com");
    let new = scene.asked();
    let third = scene.ask("www.example.com");
    assert!(scene.nothing_is_asked(), "those who ask now share again");
    scene.say(&new, &reply(&new, NO_ERROR, &[41]));
    scene.say(&old, &reply(&old, NO_ERROR, &[40]));
    assert_eq!(scene.told(before), (NO_ERROR, vec![40]));
    assert_eq!(scene.told(after), (NO_ERROR, vec![41]));
    assert_eq!(scene.told(third), (NO_ERROR, vec![41]));
    let client = scene.ask("www.example.com");
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]), "the newer one is kept");
}

#[test]
fn a_failure_of_what_was_asked_before_an_order_to_forget_is_told_and_not_kept() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    moment(&mut scene);
    scene.flusher.flush(&Flush::All);
    moment(&mut scene);
    scene.say(&asked, &reply(&asked, SERV_FAIL, &[]));
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

// RFC 8767: it is the answer of old that is to be forgotten, just when it would be told.
#[test]
fn what_is_past_its_time_is_not_told_after_an_order_to_forget_it() {
    let rules = Rules {
        stale_seconds: 600,
        ..Rules::default()
    };
    let mut scene = Scene::keeping(rules, vec![SocketAddr::from(([192, 0, 2, 1], 53))]);
    scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply_with_ttl(&asked, NO_ERROR, &[40], 1));
    scene.sent.told.clear();
    scene.later(Duration::from_secs(3));
    scene.ask("www.example.com");
    scene.flusher.flush(&Flush::All);
    scene.later(crate::limits::STALE_PATIENCE_DEFAULT);
    assert!(scene.sent.told.is_empty(), "the worker has heard of it by then");
}
