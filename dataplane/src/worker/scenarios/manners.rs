//! Servers that want to be asked in their own way: without EDNS, in their own spelling, over TCP.

use super::*;

// fwd_no_edns.
#[test]
fn a_server_without_edns_is_asked_without_it() {
    for rcode in [FORM_ERR, NOT_IMP] {
        let mut scene = Scene::with(1);
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        assert!(with_edns(&asked));
        scene.say(&asked, &reply(&asked, rcode, &[]));
        let asked = scene.asked();
        assert!(!with_edns(&asked));
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    }
}

// fwd_edns_probe, fwd_edns_bksec: one name that gets FORMERR either way does not cost the server its EDNS; one that is
// answered without EDNS does.
#[test]
fn a_name_that_is_refused_with_and_without_edns_says_nothing_of_its_server() {
    let mut scene = Scene::with(1);
    let client = scene.ask("nasty.example.com");
    for is_with in [true, false] {
        let asked = scene.asked();
        assert_eq!(with_edns(&asked), is_with);
        scene.say(&asked, &reply(&asked, FORM_ERR, &[]));
    }
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    assert!(with_edns(&asked), "the next question is asked with EDNS");
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40, 41, 42]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40, 41, 42]));
}

// fwd_capsid.
#[test]
fn the_spelling_of_a_question_comes_back_from_a_server_that_keeps_it() {
    let mut scene = Scene::with(1);
    let mut spellings = std::collections::HashSet::new();
    for number in 0..8 {
        let client = scene.ask(&format!("wwwabcdefghijklmnopqrstuvwxyz{number}.example.com"));
        let asked = scene.asked();
        spellings.insert(asked.octets[13..42].to_vec());
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
        assert!(scene.nothing_is_asked());
    }
    assert_eq!(spellings.len(), 8, "each is spelled in its own way");
}

// fwd_capsid_fallback, fwd_capsid_white: a server with a spelling of its own.
#[test]
fn a_server_that_spells_in_its_own_way_is_believed_when_it_says_so_to_another_port_and_id() {
    let mut scene = Scene::with(1);
    let client = scene.ask("wwwabcdefghijklmnopqrstuvwxyzwww.example.com");
    let weird = |asked: &Asked| {
        let mut reply = reply(asked, NO_ERROR, &[40]);
        reply[13..45].copy_from_slice(b"WwWabcdefghijklmnopqrstuvwxyzWwW");
        reply
    };
    let first = scene.asked();
    scene.say(&first, &weird(&first));
    assert!(scene.sent.told.is_empty(), "it may be a forger's");
    let second = scene.asked();
    assert_ne!(
        (first.place, &first.octets[..2]),
        (second.place, &second.octets[..2])
    );
    scene.say(&second, &weird(&second));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}

// fwd_tcp_tc, fwd_tcp_tc6.
#[test]
fn a_cut_reply_is_asked_for_over_tcp_whatever_the_family_of_its_server() {
    for upstream in ["192.0.2.1:53", "[2001:db8::1]:53"] {
        let mut scene = Scene::of(vec![upstream.parse().unwrap()]);
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        let mut cut = reply(&asked, NO_ERROR, &[]);
        cut[2] |= 2;
        scene.say(&asked, &cut);
        let asked = scene.asked();
        assert!(asked.place.is_stream() && asked.upstream == upstream.parse().unwrap());
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40, 41, 42]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40, 41, 42]));
    }
}
