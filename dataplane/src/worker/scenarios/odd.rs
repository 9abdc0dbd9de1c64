//! Replies that say nothing, too much, or what cannot be.

use super::*;

// fwd_compress_c00c: what is sent is as small as it can be, its owner the two octets c0 0c.
#[test]
fn the_owner_of_an_answer_is_a_pointer_to_the_question_however_it_came() {
    let mut scene = Scene::with(1);
    let client = scene.ask("overeinder.net");
    let asked = scene.asked();
    let end = question_end(&asked.octets);
    let mut whole = reply(&asked, NO_ERROR, &[40]);
    // The owner written out, a record of the authority section, and one of the additional section.
    let name = asked.octets[12..end - 4].to_vec();
    whole.splice(end..end + 2, name.iter().copied());
    (whole[9], whole[11]) = (1, 1);
    whole.extend(
        name.iter()
            .chain(b"\x00\x02\x00\x01\x00\x01\x51\x80\x00\x04\x01a\xc0\x0c"),
    );
    whole.extend(
        name.iter()
            .chain(b"\x00\x01\x00\x01\x00\x01\x51\x80\x00\x04\x06\x06\x06\x06"),
    );
    scene.say(&asked, &whole);
    let (_, told) = scene.take(client);
    assert_eq!(told.len(), end + 16, "and nobody is told what was not asked for");
    assert_eq!(told[end..end + 2], [0xc0, 12]);
}

// fwd_zero.
#[test]
fn a_reply_of_no_octets_is_nothing_and_the_one_behind_it_counts() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &[]);
    assert!(scene.sent.told.is_empty() && scene.nothing_is_asked());
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}

// fwd_malformed: replies that say nothing, or that break off, and a server that has no others.
#[test]
fn malformed_replies_end_in_servfail_and_the_next_question_is_answered() {
    let mut scene = Scene::with(1);
    let client = scene.ask("bad.example.com");
    for _ in 0..3 {
        let asked = scene.asked();
        let whole = reply(&asked, NO_ERROR, &[40]);
        for length in 0..whole.len() {
            scene.say(&asked, &whole[..length]);
        }
        assert!(scene.sent.told.is_empty());
        scene.later(TRY_TIMEOUT);
    }
    scene.later(TRY_TIMEOUT);
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    let client = scene.ask("good.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

// fwd_capsid_strip: two servers, whose spellings, authorities and additional records differ.
#[test]
fn what_servers_add_to_an_answer_is_no_part_of_it() {
    let mut scene = Scene::with(2);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    let mut whole = reply(&asked, NO_ERROR, &[40]);
    whole[12..29].make_ascii_lowercase();
    (whole[9], whole[11]) = (1, 1);
    whole.extend(b"\xc0\x10\x00\x02\x00\x01\x00\x00\x0e\x10\x00\x06\x03ns1\xc0\x10");
    whole.extend(b"\x03ns1\xc0\x10\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\x01\x02\x03\x04");
    scene.say(&asked, &whole);
    let again = scene.asked();
    whole[..2].copy_from_slice(&again.octets[..2]);
    scene.say(&again, &whole);
    let (_, told) = scene.take(client);
    assert_eq!(told[6..12], [0, 1, 0, 0, 0, 0], "one answer, and nothing besides");
    assert_eq!(told.len(), question_end(&told) + 16);
}

// fwd_bogus: what a server said wrongly is not remembered for the hour that it claims. We do not validate, so what is
// wrong here is what anybody can see.
#[test]
fn an_answer_that_is_none_is_forgotten_after_seconds_not_after_the_time_that_it_claims() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    // An alias of itself, good for an hour.
    let mut circle = reply(&asked, NO_ERROR, &[]);
    circle[7] = 1;
    circle.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x0e\x10\x00\x02\xc0\x0c");
    scene.say(&asked, &circle);
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    scene.later(Duration::from_secs(6));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}
