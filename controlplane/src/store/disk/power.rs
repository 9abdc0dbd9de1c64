//! Power cuts: of what was written and not synced, a disk may have any part, in any order, also half of a write.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::*;
use crate::fixture::Dice;
use crate::store::disk::tests::registration;

/// What a disk was told, in order.
#[derive(Clone, Debug)]
enum Told {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
    /// Not to the disk: so many commits had been acknowledged.
    Acknowledged(usize),
}

/// A disk that remembers what it was told, and reads as if it had all of it.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<(Vec<u8>, Vec<Told>)>>);

impl Recorder {
    fn tell(&self, told: Told) {
        let (octets, all) = &mut *self.0.lock().unwrap();
        apply(octets, &told);
        all.push(told);
    }

    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().1.clone()
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().0[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.tell(Told::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.tell(Told::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.tell(Told::Write(offset, data.to_vec()));
        Ok(())
    }
}

fn apply(octets: &mut Vec<u8>, told: &Told) {
    match told {
        Told::Write(offset, data) => {
            let from = usize::try_from(*offset).unwrap();
            let until = from + data.len();
            if octets.len() < until {
                octets.resize(until, 0);
            }
            octets[from..until].copy_from_slice(data);
        }
        Told::Length(length) => octets.resize(usize::try_from(*length).unwrap(), 0),
        Told::Sync | Told::Acknowledged(_) => {}
    }
}

/// What is on the disk when the power goes after `told`: everything up to the last sync, and of the rest what the dice say.
fn after_cut(told: &[Told], dice: &mut Dice) -> Vec<u8> {
    let synced = told.iter().rposition(|told| matches!(told, Told::Sync));
    let (safe, unsafe_ones) = told.split_at(synced.map_or(0, |last| last + 1));
    let mut octets = Vec::new();
    safe.iter().for_each(|told| apply(&mut octets, told));
    for told in unsafe_ones {
        match (dice.roll(3), told) {
            (0, _) => {}
            (1, Told::Write(offset, data)) => {
                let half = data[..data.len() / 2].to_vec();
                apply(&mut octets, &Told::Write(*offset, half));
            }
            _ => apply(&mut octets, told),
        }
    }
    octets
}

/// What commits in a row leave behind: each but the third adds two rows, which removes those of the first.
fn commits() -> Vec<BTreeSet<String>> {
    let mut rows = BTreeSet::new();
    let mut after_each = vec![rows.clone()];
    for number in 0..8 {
        match number {
            2 => rows.retain(|id: &String| !id.ends_with("-0")),
            _ => rows.extend(["a", "b"].map(|word| format!("{word}-{number}"))),
        }
        after_each.push(rows.clone());
    }
    after_each
}

#[test]
fn a_power_cut_at_any_moment_loses_no_acknowledged_commit_and_half_does_none() {
    let disk = Recorder::default();
    let after_each = commits();
    {
        let database = builder().create_with_backend(disk.clone()).unwrap();
        for (number, pair) in after_each.windows(2).enumerate() {
            let [before, after] = pair else { unreachable!() };
            let came: Vec<_> = after.difference(before).map(|id| registration(id)).collect();
            let rows = came.iter().map(|row| (&*row.id, Some(row)));
            let gone = before.difference(after).map(|id| (id.as_str(), None));
            let rows: Vec<_> = rows.chain(gone).collect();
            let anew = (number == 0).then(|| Anew {
                all: All::default(),
                clears: true,
            });
            write(&database, &rows, &[], anew.as_ref()).unwrap();
            disk.tell(Told::Acknowledged(number + 1));
        }
    }
    let told = disk.told();
    for cut in 0..=told.len() {
        for seed in 0..4 {
            let told = &told[..cut];
            let acknowledged = told.iter().rev().find_map(|told| match told {
                Told::Acknowledged(number) => Some(*number),
                _ => None,
            });
            let octets = after_cut(told, &mut Dice((cut * 4 + seed) as u64));
            let copy = InMemoryBackend::new();
            copy.set_len(octets.len() as u64).unwrap();
            copy.write(0, &octets).unwrap();
            let opened = builder().create_with_backend(copy).map_err(Error::from);
            let rows = match opened.and_then(|database| load(&database)) {
                Ok(stored) => stored
                    .registrations
                    .iter()
                    .map(|row| row.id.to_string())
                    .collect(),
                // It was not a file yet; it is put aside, and a new one is made.
                Err(error) if acknowledged.is_none() => {
                    assert!(error.is_corrupt(), "{cut} {seed}: {error}");
                    continue;
                }
                Err(error) => panic!("{cut} {seed}: {error}"),
            };
            let acknowledged = acknowledged.unwrap_or(0);
            let may_be = &after_each[acknowledged..after_each.len().min(acknowledged + 2)];
            assert!(
                may_be.contains(&rows),
                "{cut} {seed}: {rows:?}, acknowledged {acknowledged}"
            );
        }
    }
}
