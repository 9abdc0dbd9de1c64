//! Upstreams that are asked over TLS.

use super::*;

/// A forwarder that asks 192.0.2.1 over TLS, and then, if so, 192.0.2.2 in the clear.
fn over_tls(with_another: bool) -> Bench {
    let mut bench = Bench::new(1);
    let mut upstreams: Vec<Upstream> = addresses(1..=2).into_iter().map(Upstream::from).collect();
    upstreams[0].tls = Some("dns.example".try_into().unwrap());
    upstreams.truncate(1 + usize::from(with_another));
    bench.forwarder.set_config(&Config {
        routes: vec![Route {
            domain: dns::Name::root(),
            upstreams,
        }],
        policy: Policy::Sequential,
    });
    bench
}

#[test]
fn over_tls_all_questions_share_one_connection_and_are_told_apart_by_id() {
    let mut bench = over_tls(false);
    let asked: Vec<_> = (0..50_u16)
        .map(|number| bench.ask(&query_about(number, &numbered(number))))
        .collect();
    let (place, ..) = asked[0];
    assert!(place.is_kept() && !place.is_stream());
    assert!(
        asked
            .iter()
            .all(|(other, _, question)| *other == place && question.len() == 128)
    );
    let ids: std::collections::HashSet<_> = asked
        .iter()
        .map(|(_, _, question)| question[..2].to_vec())
        .collect();
    assert_eq!(ids.len(), 50);
    let end = 12 + 6 + 4;
    for (number, (_, _, question)) in (0..50).zip(&asked).rev() {
        let mut reply = [&question[..end], RECORD].concat();
        reply[2] |= 0x80;
        (reply[7], reply[11]) = (1, 0);
        bench.reply(place, &reply);
        assert_eq!(
            bench.ended(),
            (vec![number], Ok(RECORD.to_vec()), Cause::Answered)
        );
    }
    assert!(bench.forwarder.is_free(place));
    bench.assert_idle();
}

#[test]
fn a_server_asked_over_tls_is_asked_in_the_clear_neither_for_a_cut_reply_nor_by_a_probe() {
    let mut bench = over_tls(false);
    let (place, _, question) = bench.ask(&query(1));
    let mut cut = error(&question, 0);
    cut[2] |= 2;
    bench.reply(place, &cut);
    assert_eq!(
        bench.ended(),
        (vec![1], Err((Rcode::SERV_FAIL, 23)), Cause::Failed)
    );
    let (place, ..) = bench.ask(&query(2));
    bench.error(place);
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 23)));
    bench.later(1500);
    bench.ask(&query(3));
    let (probe, _, octets) = bench.asked();
    assert!(probe.is_kept() && octets.len() < 30, "a probe");
}

#[test]
fn a_connection_that_ends_costs_its_questions_nothing_and_one_that_fails_leads_to_the_next_upstream() {
    let mut bench = over_tls(true);
    let (place, upstream, _) = bench.ask(&query(1));
    let (other, ..) = bench.ask(&query_about(2, &numbered(2)));
    assert_eq!((upstream, place), (1, other));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    let again = [bench.asked(), bench.asked()];
    assert!(
        bench.steps.is_empty()
            && !bench
                .forwarder
                .is_slow(&asked_of(&query(1)), FORWARD_TIMEOUT, now)
    );
    // Where there is another it may be asked instead; here both answer.
    for (place, _, question) in &again {
        bench.reply(*place, &error(question, 3));
    }
    let mut bench = over_tls(false);
    let (place, ..) = bench.ask(&query(1));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    let (again, _, question) = bench.asked();
    assert_eq!(place, again, "by a new connection");
    bench.reply(again, &reply(&question));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    let mut bench = over_tls(true);
    let (place, ..) = bench.ask(&query(1));
    bench.error(place);
    let (place, upstream, question) = bench.asked();
    assert_eq!((place.is_kept(), upstream), (false, 2));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [1]);
    assert_eq!(bench.ask(&query(2)).1, 2, "the first is passed over");
}
