//! Mixes of questions: what is asked, and how often each.

use std::fmt;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::question::Question;
use crate::world::{UPSTREAM_NAMES, World, missed_name, upstream_name};

/// Questions before an order that is drawn repeats itself: more than any server here is asked in a few seconds.
const ORDER_LENGTH: usize = 1 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mix {
    /// One name, one address.
    Hot,
    /// All of the many names, each once before any comes again.
    Uniform,
    /// All of the many names, the one at rank r in proportion to 1/r.
    Zipf,
    /// As many names that do not exist, each once before any comes again.
    Misses,
    /// `any.wild.dev.docker`: a query wildcard to us, a name below `*.wild.dev.docker` to others.
    Wildcard,
    /// Three SRV records and their targets.
    Srv,
    /// One name, eight addresses.
    Eight,
    /// Names that an upstream has, each of which has been asked for before.
    Forward,
    /// Names of ours and names that were asked for before, half and half; and of a hundred one that no cache may keep.
    Mixed,
    /// As `Uniform`, of containers that may be replaced meanwhile.
    Replaced,
}

impl Mix {
    /// All that servers are compared by, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::Hot,
        Self::Uniform,
        Self::Zipf,
        Self::Misses,
        Self::Wildcard,
        Self::Srv,
        Self::Eight,
        Self::Forward,
        Self::Mixed,
    ];

    /// How the command line and the results call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::Misses => "misses",
            Self::Wildcard => "wildcard",
            Self::Srv => "srv",
            Self::Eight => "eight",
            Self::Forward => "forward",
            Self::Mixed => "mixed",
            Self::Replaced => "replaced",
        }
    }

    /// The one that is called so, be it among [`Mix::ALL`] or not.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain([Self::Replaced]);
        all.find(|mix| mix.word() == word)
    }

    /// How a chart calls it, where there are `many` names.
    #[must_use]
    pub fn title(self, many: u32) -> String {
        let many = match many {
            thousands if thousands >= 1_000 => format!("{}k", thousands / 1_000),
            few => few.to_string(),
        };
        match self {
            Self::Hot => "one hot name".to_owned(),
            Self::Uniform => format!("{many} names, uniform"),
            Self::Zipf => format!("{many} names, Zipf"),
            Self::Misses => "NXDOMAIN".to_owned(),
            Self::Wildcard => "wildcard".to_owned(),
            Self::Srv => "SRV, 3 targets".to_owned(),
            Self::Eight => "8 addresses".to_owned(),
            Self::Forward => "forwarded, cached".to_owned(),
            Self::Mixed => "ours, cached, missed".to_owned(),
            Self::Replaced => format!("{many} names, replaced"),
        }
    }

    /// Whether others are to be asked for some of it.
    #[must_use]
    pub fn is_forwarded(self) -> bool {
        matches!(self, Self::Forward | Self::Mixed)
    }

    /// The questions of this mix in `world`, in an order that is the same in every run.
    #[must_use]
    pub fn script(self, world: World) -> Script {
        let many = world.many().max(1);
        let one = |it: crate::world::Container| Question::addresses(&it.name(), [it.address]);
        let questions: Vec<_> = match self {
            Self::Hot => vec![one(world.hot())],
            Self::Uniform | Self::Zipf => (0..many).map(|place| one(world.one_of_many(place))).collect(),
            Self::Replaced => (0..many)
                .map(|place| world.one_of_many(place))
                .map(|it| Question::replaced(&it.name(), it.address))
                .collect(),
            Self::Misses => (0..many)
                .map(|place| Question::absent(&format!("absent{place}.app{}.dev.docker", place % 100)))
                .collect(),
            Self::Wildcard => world
                .of_image("wild")
                .map(|it| Question::addresses(&format!("any.{}", it.image_name()), [it.address]))
                .collect(),
            Self::Srv => {
                let targets = world
                    .of_image("queue")
                    .filter_map(|it| Some((it.port?, it.target())));
                vec![Question::targets("queue.dev.docker", targets)]
            }
            Self::Eight => {
                let addresses = world.of_image("eight").map(|it| it.address);
                vec![Question::addresses("eight.dev.docker", addresses)]
            }
            Self::Forward => local_and_foreign(world).1,
            Self::Mixed => {
                let (mut questions, foreign) = local_and_foreign(world);
                questions.extend(foreign);
                questions.extend(upstream_questions(missed_name));
                questions
            }
        };
        let count = questions.len();
        let order = match (self, count) {
            (_, 1) => vec![0],
            (Self::Mixed, _) => mixed(count, ORDER_LENGTH, &mut ChaCha8Rng::seed_from_u64(3)),
            (Self::Zipf, _) => zipf(count, ORDER_LENGTH, &mut ChaCha8Rng::seed_from_u64(2)),
            _ => shuffled(count, &mut ChaCha8Rng::seed_from_u64(1)),
        };
        Script { questions, order }
    }
}

impl Mix {
    /// The question about the name that a server learns last, if it learns them in the order of the containers.
    #[must_use]
    pub fn last_name(self, world: World) -> Question {
        let it = match self {
            Self::Hot => world.hot(),
            _ => world.one_of_many(world.many().saturating_sub(1)),
        };
        Question::addresses(&it.name(), [it.address])
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl ValueEnum for Mix {
    fn value_variants<'v>() -> &'v [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}

/// Questions, and the order to ask them in.
#[derive(Debug)]
pub struct Script {
    questions: Vec<Question>,
    order: Vec<u32>,
}

impl Script {
    /// The question that is asked as the `turn`th; the order begins anew after its end.
    #[must_use]
    pub fn question(&self, turn: usize) -> (u32, &Question) {
        let place = self.order[turn % self.order.len()];
        (place, &self.questions[place as usize])
    }

    /// The question at `place`, as [`Script::question`] gave it.
    #[must_use]
    pub fn at(&self, place: u32) -> &Question {
        &self.questions[place as usize]
    }

    /// Questions before the order begins anew.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.order.len()
    }

    /// Each question once.
    #[must_use]
    pub fn each(&self) -> &[Question] {
        &self.questions
    }
}

/// As many questions about names of ours as about those of an upstream that caches keep, and these.
pub(crate) fn local_and_foreign(world: World) -> (Vec<Question>, Vec<Question>) {
    let local = (0..UPSTREAM_NAMES).map(|place| world.one_of_many(place));
    let local = local.map(|it| Question::addresses(&it.name(), [it.address]));
    (local.collect(), upstream_questions(upstream_name).collect())
}

fn upstream_questions(name: fn(u32) -> (String, Ipv4Addr)) -> impl Iterator<Item = Question> {
    let names = (0..UPSTREAM_NAMES).map(name);
    names.map(|(name, address)| Question::addresses(&name, [address]))
}

/// `length` places below `count`: of a hundred one in the last third of them, the others in the first two.
fn mixed(count: usize, length: usize, random: &mut impl Rng) -> Vec<u32> {
    let third = (count / 3) as u64;
    let place = |_| match random.next_u64() % 100 {
        0 => 2 * third + random.next_u64() % third,
        _ => random.next_u64() % (2 * third),
    };
    (0..length).map(place).map(|place| place as u32).collect()
}

/// All places below `count`, each once. Drawn one by one, as many draws would leave out a third of them and ask others twice.
fn shuffled(count: usize, random: &mut impl Rng) -> Vec<u32> {
    let mut places: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        places.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    places
}

/// `length` places below `count`, of which place p is as likely as 1 / (p + 1).
fn zipf(count: usize, length: usize, random: &mut impl Rng) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let place = |_| {
        // 53 random bits, as many as a double has.
        let at = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        sums.partition_point(|&sum| sum <= at).min(count - 1) as u32
    };
    (0..length).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_gives_each_rank_its_share() {
        let order = zipf(1_000, 200_000, &mut ChaCha8Rng::seed_from_u64(7));
        let harmonic: f64 = (1..=1_000).map(|rank| 1.0 / f64::from(rank)).sum();
        for rank in [1_u32, 2, 10] {
            let seen = order.iter().filter(|place| **place + 1 == rank).count() as f64 / 200_000.0;
            let share = 1.0 / f64::from(rank) / harmonic;
            assert!(
                (seen / share - 1.0).abs() < 0.06,
                "rank {rank}: {seen} for {share}"
            );
        }
        assert!(order.iter().all(|place| *place < 1_000));
    }

    #[test]
    fn a_pass_covers_all_names_in_no_order_that_a_server_knows() {
        for mix in [Mix::Uniform, Mix::Misses, Mix::Forward] {
            let script = mix.script(World::new(1_000));
            let order: Vec<_> = (0..script.turns()).map(|turn| script.question(turn).0).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..1_000), "{mix}");
            let in_turn = order.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
            assert!(in_turn < 20, "{mix}: {in_turn}");
        }
    }

    #[test]
    fn of_a_hundred_mixed_questions_one_is_missed_and_the_others_are_ours_and_cached() {
        let script = Mix::Mixed.script(World::new(5));
        let mut counts = [0_usize; 3];
        for turn in 0..script.turns() {
            let line = script.question(turn).1.line();
            let kind = match line.as_str() {
                ours if ours.ends_with(".docker A") => 0,
                cached if cached.starts_with('h') => 1,
                _ => 2,
            };
            counts[kind] += 1;
        }
        let [ours, cached, missed] = counts.map(|count| count as f64 / script.turns() as f64);
        assert!(
            (ours - 0.495).abs() < 0.01 && (cached - 0.495).abs() < 0.01,
            "{counts:?}"
        );
        assert!((missed - 0.01).abs() < 0.002, "{counts:?}");
    }

    #[test]
    fn every_mix_has_questions_and_is_found_by_its_word() {
        let world = World::new(50);
        for mix in Mix::ALL {
            let script = mix.script(world);
            assert!(!script.each().is_empty() && script.turns() > 0, "{mix}");
            assert_eq!(Mix::from_str(mix.word(), false), Ok(mix));
            assert_eq!(Mix::of_word(mix.word()), Some(mix));
            let (place, _) = script.question(script.turns() + 3);
            assert_eq!(place, script.question(3).0, "an order begins anew");
        }
        assert!(Mix::from_str("cold", false).is_err());
    }
}
