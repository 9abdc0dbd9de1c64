//! Clients who would rather be told what is past its time than wait any longer (RFC 8767).

use super::*;
use crate::cache::Flush;
use crate::limits::{FORWARD_TIMEOUT, STALE_PATIENCE_DEFAULT};

/// A scene whose cache knows `www.example.com` of old, past its time, and may tell it.
fn with_something_old() -> Scene {
    let rules = Rules {
        stale_seconds: 600,
        ..Rules::default()
    };
    let mut scene = Scene::keeping(rules, vec![SocketAddr::from(([192, 0, 2, 1], 53))]);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply_with_ttl(&asked, NO_ERROR, &[40], 1));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    scene.later(Duration::from_secs(3));
    scene
}

#[test]
fn who_has_waited_long_enough_is_told_what_was_last_known() {
    let mut scene = with_something_old();
    let client = scene.ask("www.example.com");
    scene.later(STALE_PATIENCE_DEFAULT - Duration::from_millis(1));
    assert!(scene.sent.told.is_empty());
    scene.later(Duration::from_millis(1));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    assert_eq!(scene.counters.total().forward_late, 1);
}

/// The same, but what is old is forgotten while a client waits for something new. Returns who waits, and what is asked
/// for it.
fn with_something_forgotten() -> (Scene, u32, Asked) {
    let mut scene = with_something_old();
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.flusher.flush(&Flush::All);
    // The worker hears of it when it next looks into its cache.
    scene.ask("other.example.com");
    scene.later(STALE_PATIENCE_DEFAULT);
    assert!(
        scene.sent.told.is_empty(),
        "there is nothing to tell: they wait on"
    );
    assert_eq!(scene.counters.total().forward_late, 0);
    (scene, client, asked)
}

#[test]
fn where_what_was_old_is_gone_meanwhile_clients_wait_for_the_answer_as_all_others_do() {
    let (mut scene, client, asked) = with_something_forgotten();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

#[test]
fn where_what_was_old_is_gone_and_no_answer_comes_clients_are_told_so_in_time() {
    let (mut scene, client, _) = with_something_forgotten();
    scene.later(FORWARD_TIMEOUT - STALE_PATIENCE_DEFAULT);
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
}
