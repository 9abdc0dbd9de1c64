//! Mixes of questions: what is asked, and how often each.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::question::Question;
use crate::world::{UPSTREAM_NAMES, World, missed_name, upstream_name};

/// Questions before an order repeats itself.
const ORDER_LENGTH: usize = 1 << 17;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mix {
    /// One name, one address.
    Hot,
    /// All of the many names, each as often.
    Uniform,
    /// All of the many names, the one at rank r in proportion to 1/r.
    Zipf,
    /// Names that do not exist, each another.
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
}

impl Mix {
    /// All of them, in the order of the report.
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
        }
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
            _ => uniform(count, ORDER_LENGTH, &mut ChaCha8Rng::seed_from_u64(1)),
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

impl FromStr for Mix {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let words = Self::ALL.map(Self::word);
        let found = Self::ALL.into_iter().find(|mix| mix.word() == word);
        found.ok_or_else(|| format!("no such mix; give one of {}", words.join(", ")))
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

/// `length` places below `count`, each as likely.
fn uniform(count: usize, length: usize, random: &mut impl Rng) -> Vec<u32> {
    let place = |_| (random.next_u64() % count as u64) as u32;
    (0..length).map(place).collect()
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
    fn uniform_reaches_all_names() {
        let order = uniform(100, 10_000, &mut ChaCha8Rng::seed_from_u64(7));
        let counts = (0..100).map(|place| order.iter().filter(|it| **it == place).count());
        assert!(
            counts.clone().all(|count| (50..200).contains(&count)),
            "{counts:?}"
        );
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
            assert_eq!(mix.word().parse(), Ok(mix));
            let (place, _) = script.question(script.turns() + 3);
            assert_eq!(place, script.question(3).0, "an order begins anew");
        }
        assert!("cold".parse::<Mix>().unwrap_err().contains("hot, uniform"));
    }
}
