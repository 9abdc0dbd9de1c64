//! How exchanges are found, and what there is room for.

use std::time::Duration;

use dns::Query;

use super::super::config::Config;
use super::super::upstream::Upstreams;
use super::*;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

fn asked(number: u16) -> Asked {
    let letter = |shift: u16| b'a' + (number >> shift & 0xf) as u8;
    let packet = [
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04",
        [letter(12), letter(8), letter(4), letter(0)].as_slice(),
        b"\x03com\x00\x00\x01\x00\x01",
    ]
    .concat();
    Asked::of(&Query::parse(&packet).unwrap())
}

fn places() -> impl FnMut() -> Place {
    let (mut upstreams, mut random) = (Upstreams::new(), ChaCha12Rng::from_seed([1; 32]));
    upstreams.set(&Config::all_to(vec!["127.0.0.1:53".parse().unwrap()]));
    move || upstreams.take(0, &mut random).unwrap().0
}

fn made(place: Place, id: u16, sent: Instant) -> Try {
    Try {
        key: Key { place, id },
        sent,
        is_spelled: true,
        with_edns: true,
    }
}

#[test]
fn an_exchange_is_found_by_its_question_and_by_each_of_its_tries() {
    let (mut table, now, mut place) = (Table::new(&[9; 16]), Instant::now(), places());
    let first = table.insert(asked(1), Case::default(), now, false).unwrap();
    let second = table.insert(asked(2), Case::default(), now, false).unwrap();
    assert_eq!(
        [1, 2, 3].map(|number| table.find(&asked(number))),
        [Some(first), Some(second), None]
    );
    let tries: Vec<_> = (0..3).map(|id| made(place(), id, now)).collect();
    for &made in &tries {
        assert!(table.push_try(first, made).is_none());
    }
    for made in &tries {
        assert_eq!(table.find_try(made.key).unwrap().0.exchange, first);
        assert_eq!(table.try_in(made.key.place).unwrap().0.exchange, first);
    }
    let (at, _) = table.find_try(tries[1].key).unwrap();
    table.remove_try(at).unwrap();
    assert!(table.find_try(tries[1].key).is_none() && table.try_in(tries[1].key.place).is_none());
    assert_eq!(table.get(first).unwrap().newest().unwrap().1.key, tries[2].key);
    table.remove(first).unwrap();
    assert!(tries.iter().all(|made| table.find_try(made.key).is_none()));
    assert!(tries.iter().all(|made| table.try_in(made.key.place).is_none()));
    assert_eq!((table.find(&asked(1)), table.len()), (None, 1));
}

#[test]
fn the_oldest_try_makes_room_for_the_newest() {
    let (mut table, start, mut place) = (Table::new(&[9; 16]), Instant::now(), places());
    let index = table.insert(asked(1), Case::default(), start, false).unwrap();
    let tries: Vec<_> = (0..TRIES_MAX as u16 + 1)
        .map(|id| made(place(), id, start + Duration::from_millis(id.into())))
        .collect();
    let replaced: Vec<_> = tries
        .iter()
        .map(|&made| table.push_try(index, made).map(|made| made.key))
        .collect();
    assert_eq!(replaced.last().unwrap(), &Some(tries[0].key));
    assert!(replaced[..TRIES_MAX].iter().all(Option::is_none));
}

#[test]
fn the_next_deadline_is_the_earliest_and_none_is_after_the_end() {
    let (mut table, start) = (Table::new(&[9; 16]), Instant::now());
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let first = table.insert(asked(1), Case::default(), at(100), false).unwrap();
    let second = table.insert(asked(2), Case::default(), at(200), false).unwrap();
    table.set_deadline(first, at(50));
    table.set_deadline(second, at(20));
    assert_eq!(table.next_due(), Some((at(20), second)));
    table.set_deadline(second, at(900));
    assert_eq!(table.next_due(), Some((at(50), first)));
    table.remove(first).unwrap();
    assert_eq!(table.next_due(), Some((at(200), second)));
}

#[test]
fn a_full_table_takes_no_more_and_never_allocates_again() {
    let (mut table, now, mut place) = (Table::new(&[9; 16]), Instant::now(), places());
    let capacities = |table: &Table| {
        [
            table.keys.capacity(),
            table.questions.capacity(),
            table.free.capacity(),
        ]
    };
    let (before, place) = (capacities(&table), place());
    let mut id = 0_u16;
    for _ in 0..4 {
        let indices: Vec<_> = (0..PENDING_MAX as u16)
            .map(|number| table.insert(asked(number), Case::default(), now, false).unwrap())
            .collect();
        assert_eq!(table.insert(asked(u16::MAX), Case::default(), now, false), None);
        for _ in 0..TRIES_MAX + 1 {
            for &index in &indices {
                id = id.wrapping_add(1);
                if table.find_try(Key { place, id }).is_none() {
                    table.push_try(index, made(place, id, now));
                }
            }
        }
        assert!(indices.into_iter().all(|index| table.remove(index).is_some()));
    }
    // What was taken out counts as taken up until it is cleaned up, so capacities may seem to shrink.
    let mut after = capacities(&table).into_iter().zip(before);
    assert!(after.all(|(after, before)| after <= before));
    assert_eq!(table.len(), 0);
}
