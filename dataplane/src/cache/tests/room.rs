//! What there is room for, and what goes.

use super::*;

#[test]
fn names_are_forgotten_with_all_below_them_and_no_others() {
    let names = [
        "example.org",
        "www.example.org",
        "a.b.example.org",
        "xexample.org",
        "org",
        "example.com",
    ];
    let insert = |case: &mut Case| {
        for owner in names {
            let record = format!("answer {owner} 60 A 192.0.2.1");
            case.insert(&format!("{owner} A"), PLAIN, 0, &[&record], 0);
        }
    };
    let known = |case: &mut Case| -> Vec<&str> {
        let is_known = |owner: &&str| case.lookup(&format!("{owner} A"), PLAIN, 1).is_some();
        names.iter().copied().filter(is_known).collect()
    };
    let mut case = Case::new(Rules::default());
    insert(&mut case);
    assert_eq!(known(&mut case), names);
    case.cache.flush(&Flush::Below(name("Example.org")));
    assert_eq!(known(&mut case), names[3..]);
    insert(&mut case);
    case.cache.flush(&Flush::Below(name(".")));
    assert!(known(&mut case).is_empty());
    insert(&mut case);
    case.cache.flush(&Flush::All);
    assert!(known(&mut case).is_empty());
    assert_eq!((case.cache.entries(), case.cache.used()), (0, 0));
}

#[test]
fn answers_with_an_alias_that_leads_to_a_forgotten_name_are_forgotten_too() {
    let chains: [(&str, &[&str]); 5] = [
        ("www.example.org A", &["CNAME Cdn.Example.NET", "A 192.0.2.1"]),
        (
            "two.example.org A",
            &["CNAME mid.example.com", "CNAME a.cdn.example.net", "A 192.0.2.1"],
        ),
        // Its last link comes first.
        ("odd.example.org A", &["CNAME xcdn.example.net", "A 192.0.2.1"]),
        ("mail.example.org MX", &["MX cdn.example.net"]),
        ("gone.example.org AAAA", &["CNAME cdn.example.net"]),
    ];
    let insert = |case: &mut Case| {
        for (question, links) in chains {
            let mut owner = question.split(' ').next().unwrap();
            let mut records = Vec::new();
            for link in links {
                records.push(format!("answer {owner} 60 {link}"));
                owner = link.split(' ').nth(1).unwrap();
            }
            records.reverse();
            if question.ends_with("AAAA") {
                records.push("authority example.net 60 SOA 60".to_owned());
            }
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            case.insert(question, PLAIN, 0, &records, 0);
        }
    };
    let known = |case: &mut Case| -> Vec<&str> {
        let questions = chains.iter().map(|(question, _)| *question);
        questions
            .filter(|question| case.lookup(question, PLAIN, 1).is_some())
            .collect()
    };
    let mut case = Case::new(Rules::default());
    insert(&mut case);
    assert_eq!(known(&mut case).len(), chains.len());
    case.cache.flush(&Flush::Below(name("cdn.example.net")));
    assert_eq!(known(&mut case), ["odd.example.org A", "mail.example.org MX"]);
    insert(&mut case);
    case.cache.flush(&Flush::Below(name("example.com")));
    assert_eq!(known(&mut case).len(), chains.len() - 1);
}

#[test]
fn a_failure_leaves_when_it_is_over_although_answers_are_kept_for_longer() {
    let (mut store, hash, mut draft) = (Store::new(OCTETS, 1000), Hash::new(3), Draft::new());
    let key_of = |number: u32| {
        let query = query(&format!("n{number}.example.org A"), PLAIN, 0);
        Key::of(&hash, &Query::parse(&query).unwrap())
    };
    draft.fail(Rcode::SERV_FAIL);
    let failure = key_of(0);
    store.insert(&failure, &draft, 0);
    for _ in 0..3 {
        let position = store.find(&failure).unwrap();
        let meta = store.meta(position).unwrap();
        store.hit(position, &meta);
    }
    // So many names come that the oldest leave the queue of newcomers.
    for number in 1..2000 {
        store.insert(&key_of(number), &draft, 10);
    }
    assert_eq!(
        store.find(&failure),
        None,
        "it was asked for often, and is of no use"
    );
}

#[test]
fn a_cache_of_no_size_keeps_nothing_and_still_sifts() {
    let mut case = Case::new(Rules::default());
    case.cache = Cache::new(0, Rules::default(), 1);
    let record = "answer www.example.org 60 A 192.0.2.1";
    let junk = "additional bank.example 60 A 192.0.2.66";
    assert_eq!(
        case.insert("www.example.org A", PLAIN, 0, &[record, junk], 0),
        ["0", record]
    );
    assert_eq!(case.lookup("www.example.org A", PLAIN, 0), None);
}

#[test]
fn a_scan_stays_at_the_bound_and_leaves_what_is_in_use() {
    check_scan("answer www.example.org 3600 A 192.0.2.1", 1_000_000);
}

/// Failures are so short that it is the index that is full first.
#[test]
fn a_scan_of_names_without_an_answer_leaves_what_is_in_use() {
    check_scan("", 200_000);
}

/// So many names are taken in, far more than there is room for, each with `record`, while some are asked for now and again.
fn check_scan(record: &str, scanned: u32) {
    let mut store = Store::new(OCTETS, 0);
    let hash = Hash::new(3);
    let mut draft = Draft::new();
    let query_for = |number: u32| {
        let mut query = query("0000000.example.org A", PLAIN, 0);
        query[13..20].copy_from_slice(format!("{number:07}").as_bytes());
        query
    };
    let key_of = |query: &[u8]| Key::of(&hash, &Query::parse(query).unwrap());
    let key = key_of(&query("www.example.org A", PLAIN, 0));
    let (rcode, records) = if record.is_empty() {
        (2, vec![])
    } else {
        (0, vec![record])
    };
    let reply = reply("www.example.org A", rcode, &records);
    draft.sift(&key, &reply, &Rules::default(), |_| false).unwrap();
    let hot: Vec<Vec<u8>> = (0..300).map(|number| query_for(9_000_000 + number)).collect();
    let ask = |store: &mut Store, query: &[u8]| {
        let key = key_of(query);
        let position = store.find(&key);
        match position {
            Some(position) => {
                let meta = store.meta(position).unwrap();
                store.hit(position, &meta);
            }
            None => assert!(store.insert(&key, &draft, 0)),
        }
        position.is_some()
    };
    for _ in 0..3 {
        hot.iter().for_each(|query| {
            ask(&mut store, query);
        });
    }
    let taken = store.taken();
    assert!(taken <= OCTETS, "{taken}");
    let mut lost = 0;
    for number in 0..scanned {
        assert!(store.insert(&key_of(&query_for(number)), &draft, 0));
        if number % 40 == 0 {
            // Each of the hot ones is asked for far less often than new names come.
            lost += u32::from(!ask(&mut store, &hot[number as usize / 40 % hot.len()]));
        }
    }
    assert_eq!(store.taken(), taken);
    // Few names of a scan are taken for ghosts by their hashes, and go where hot ones are. When one of those is the oldest
    // there, it is moved; but only so many at once.
    assert!(
        lost * 200 <= scanned / 40,
        "{lost} times one of {} hot names",
        hot.len()
    );
    assert!(store.entries() > 4000, "{}", store.entries());
    assert!(store.take_moves().evictions > u64::from(scanned) - 20_000);
}

/// A map of all that was ever taken in, with exact expiry. It forgets nothing, so the cache may know less, never more.
#[test]
fn the_cache_never_knows_more_than_a_map_and_nearly_as_much() {
    for seed in 1..40_u64 {
        let mut random = seed;
        let mut next = move |below: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 16) as u32 % below
        };
        let mut case = Case::new(Rules::default());
        case.cache = Cache::new(crate::limits::CACHE_SHARE_OCTETS_MIN, Rules::default(), seed);
        let mut model: HashMap<u32, (u32, u32, u32)> = HashMap::new();
        let (mut now, mut known, mut knowable) = (0, 0, 0);
        for step in 0..4000 {
            now += next(3);
            // Few names are asked for often, and many seldom.
            let number = if next(2) == 0 { next(20) } else { next(3000) };
            let question = format!("n{number}.example.org A");
            match next(12) {
                0 if step % 50 == 0 => {
                    case.cache
                        .flush(&Flush::Below(name(&format!("n{number}.example.org"))));
                    model.remove(&number);
                }
                1..=5 => {
                    let (ttl, count) = (1 + next(2000), 1 + next(12));
                    let records: Vec<String> = (0..count)
                        .map(|last| {
                            format!("answer n{number}.example.org {ttl} A 192.0.{}.{last}", step % 256)
                        })
                        .collect();
                    let records: Vec<&str> = records.iter().map(String::as_str).collect();
                    case.insert(&question, PLAIN, 0, &records, now);
                    model.insert(number, (now, ttl, count + step % 256 * 100));
                }
                _ => {
                    let good = model.get(&number).filter(|(stored, ttl, _)| now - stored < *ttl);
                    let hit = case.lookup(&question, PLAIN, now);
                    knowable += u32::from(good.is_some());
                    let Some((told, _)) = hit else {
                        continue;
                    };
                    known += 1;
                    let (stored, ttl, mark) = good.expect("the cache knows what nobody told it, or too long");
                    assert_eq!(told.len() as u32 - 1, mark % 100);
                    let prefix = format!(
                        "answer n{number}.example.org {} A 192.0.{}.",
                        ttl - (now - stored),
                        mark / 100
                    );
                    assert!(
                        told[1..].iter().all(|it| it.starts_with(&prefix)),
                        "{told:?} {prefix}"
                    );
                }
            }
        }
        assert!(known * 100 >= knowable * 80, "seed {seed}: {known} of {knowable}");
    }
}
