//! Which replies count, and what they are asked for in.

use super::*;

// RFC 5452, section 9.1; CVE-2020-25684 and 25685: replies must be matched in full, and CVE-2023-28452: a wrong
// one must not end the wait.
#[test]
fn a_reply_that_differs_anywhere_is_dropped_and_the_right_one_still_counts() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    let (other_place, _, _) = bench.ask(&query_about(7, b"\x01b\x00"));
    let right = reply(&question);
    // What differs, where, and by which bits.
    let wrongs = [
        ("id", 0, 0x01),
        ("QR", 2, 0x80),
        ("opcode", 2, 0x08),
        ("question count 0", 5, 0x01),
        ("question count 3", 5, 0x02),
        ("a letter of the name", 13, 0x01),
        ("type", 26, 0x1d),
        ("class", 28, 0x02),
        ("answer count 2", 7, 0x03),
        ("the record's owner", 30, 0x12),
    ];
    for (what, octet, bits) in wrongs {
        let mut packet = right.clone();
        packet[octet] ^= bits;
        assert_eq!(bench.reply(place, &packet), Heard::Stray, "{what}");
    }
    assert_eq!(bench.reply(other_place, &right), Heard::Stray, "socket");
    for length in 0..right.len() {
        assert_eq!(
            bench.reply(place, &right[..length]),
            Heard::Stray,
            "{length} octets"
        );
    }
    assert_eq!(bench.steps, []);
    assert_eq!(bench.reply(place, &right), Heard::Reply);
    assert_eq!(bench.ended().0, [7]);
    assert_eq!(bench.reply(place, &right), Heard::Stray, "a second time");
}

/// Changes the case of the letters at `range` where `upper` says so.
fn respelled(packet: &[u8], upper: bool) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let name = &mut packet[12..25];
    match upper {
        true => name.make_ascii_uppercase(),
        false => name.make_ascii_lowercase(),
    }
    packet
}

#[test]
fn names_are_spelled_at_random_and_another_spelling_is_no_answer_yet() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    assert!(question[12..25].iter().any(u8::is_ascii_uppercase));
    assert!(question[12..25].iter().any(u8::is_ascii_lowercase));
    bench.reply(place, &respelled(&reply(&question), false));
    let (again, upstream, plain) = bench.asked();
    assert_eq!(
        (upstream, &plain[12..25]),
        (1, b"\x07example\x03com\x00".as_slice())
    );
    assert!(
        plain[..2] != question[..2] && again != place,
        "guessed once, it must be guessed again"
    );
    assert_eq!(bench.reply(place, &reply(&question)), Heard::Stray);
    assert_eq!(bench.reply(again, &respelled(&reply(&plain), true)), Heard::Reply);
    assert_eq!(bench.ended(), (vec![7], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn an_upstream_that_never_keeps_the_spelling_is_asked_once_for_each_name() {
    let mut bench = Bench::new(1);
    let is_spelled = |question: &[u8]| question[12..25].iter().any(u8::is_ascii_uppercase);
    for _ in 0..MANGLED_MIN {
        let (place, _, question) = bench.ask(&query(7));
        assert!(is_spelled(&question));
        bench.reply(place, &respelled(&reply(&question), false));
        let (place, _, question) = bench.asked();
        bench.reply(place, &reply(&question));
        let _ = bench.ended();
    }
    let (place, _, question) = bench.ask(&query(7));
    assert!(!is_spelled(&question));
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    bench.later(MANNERS_TIME.as_millis() as u64);
    assert!(is_spelled(&bench.ask(&query(7)).2), "it may have been replaced");
}

// RFC 6891, section 7: FORMERR or NOTIMP is what servers say that do not know EDNS.
#[test]
fn an_upstream_without_edns_is_asked_without_it_and_remembered() {
    for rcode in [1, 4] {
        let mut bench = Bench::new(1);
        let (place, _, question) = bench.ask(&query(7));
        assert_eq!(question[11], 1);
        // From some of them without the question.
        let bare = [&question[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        bench.reply(place, &bare);
        let (place, _, question) = bench.asked();
        assert_eq!((question[11], question.len()), (0, QUESTION_END));
        bench.reply(place, &reply(&question));
        let _ = bench.ended();
        assert_eq!(bench.ask(&query(7)).2[11], 0, "rcode {rcode}");
        bench.later(MANNERS_TIME.as_millis() as u64);
        bench.steps.clear();
        assert_eq!(bench.ask(&query(8)).2[11], 1);
    }
}

#[test]
fn formerr_without_edns_as_well_is_an_error_like_others() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 1));
    let (place, _, question) = bench.asked();
    bench.reply(place, &error(&question, 1));
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 22)), Cause::Answered)
    );
    assert_eq!(bench.ask(&query(7)).2[11], 1, "so it was not EDNS");
}

#[test]
fn a_bare_header_is_an_error_and_never_an_answer() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    for (rcode, heard) in [(0, Heard::Stray), (3, Heard::Stray), (2, Heard::Reply)] {
        let bare = [&question[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(bench.reply(place, &bare), heard, "rcode {rcode}");
    }
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 22)));
}

#[test]
fn a_cut_reply_is_asked_for_over_tcp_from_the_same_upstream() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    let mut cut = reply(&question);
    cut[2] |= 2;
    cut.truncate(35);
    bench.reply(place, &cut);
    let (stream, upstream, question) = bench.asked();
    assert_eq!((stream.is_stream(), upstream), (true, 1));
    assert!(bench.forwarder.is_free(place));
    bench.reply(stream, &reply(&question));
    assert_eq!(bench.ended(), (vec![7], Ok(RECORD.to_vec()), Cause::Answered));
    assert!(bench.forwarder.is_free(stream));
    bench.assert_idle();
}

#[test]
fn a_stream_that_fails_or_is_silent_or_cut_again_leads_to_the_next_upstream() {
    for how in 0..3 {
        let mut bench = Bench::new(2);
        let (place, _, question) = bench.ask(&query(7));
        let mut cut = reply(&question);
        cut[2] |= 2;
        bench.reply(place, &cut);
        let (stream, _, question) = bench.asked();
        match how {
            0 => bench.error(stream),
            1 => bench.later(800),
            _ => {
                let mut cut = reply(&question);
                cut[2] |= 2;
                bench.reply(stream, &cut);
            }
        }
        assert!(bench.forwarder.is_free(stream));
        let (place, upstream, question) = bench.asked();
        assert_eq!((place.is_stream(), upstream), (false, 2));
        bench.reply(place, &reply(&question));
        assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
        assert_eq!(bench.ask(&query(7)).1, 1, "datagrams still reach it");
    }
}

// RFC 5452, section 9.2: ids are unpredictable and use the whole range.
#[test]
fn ids_use_the_whole_range_and_differ_between_seeds() {
    let ids = |seed| {
        let mut bench = Bench::new(1);
        bench.forwarder = Forwarder::new([seed; 32]);
        bench.forwarder.set_config(&Config::all_to(addresses(1..=1)));
        (0..512)
            .map(|number| {
                let (_, _, question) = bench.ask(&query_about(7, &numbered(number)));
                u16::from_be_bytes([question[0], question[1]])
            })
            .collect::<Vec<_>>()
    };
    let drawn = ids(1);
    assert!((0..16).all(|bit| drawn.iter().any(|id| id >> bit & 1 == 1)));
    assert_ne!(drawn, ids(2));
}
