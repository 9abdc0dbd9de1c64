//! How many replies a network gets, so that nobody can aim them at a victim by forging its address.
//!
//! ```text
//! client ─▶ prefix: /24 or /56 ─▶ hash ─▶ set of four buckets: key │ tokens │ when     one cache line
//!                                           │
//!                          a token is left: Pass      none is: Slip, Drop, Slip, Drop, …
//! ```
//!
//! A bucket holds the replies of one second and fills up steadily. A pure state machine that is told the time. Each
//! core counts for itself: a network whose queries reach several cores gets as many replies from each.
//!
//! Local and private networks are exempt: there is nobody to attack there who could not be attacked directly.

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::access::{Access, default_networks};
use crate::limits::{RATE_LIMIT_MAX, RATE_SETS};

/// Buckets that a prefix may be found in: 16 octets each, they fill a cache line.
const WAYS: usize = 4;

/// A thousandth of a reply, so that a bucket fills by `rate` of them each millisecond.
const REPLY_MILLI_TOKENS: u32 = 1000;

/// What is due to a client's next query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An answer.
    Pass,
    /// A small reply that bids the client prove its address.
    Slip,
    /// Nothing.
    Drop,
}

/// The buckets of one core.
pub struct RateLimiter {
    rate: u32,
    exempt: Access,
    hasher: SipHasher13,
    sets: Box<[[Bucket; WAYS]]>,
    limited: u32,
}

/// What a prefix may still have.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Its prefix, as [`prefix`] has it; 0 for a bucket never used.
    key: u64,
    milli_tokens: u32,
    at_milliseconds: u32,
}

impl RateLimiter {
    /// A limiter to `rate` replies a second for each prefix; 0 limits nothing, and what is above [`RATE_LIMIT_MAX`]
    /// counts as that. Allocates; nothing after it does. `seed` must be unpredictable, or a stranger could choose
    /// prefixes that meet in one set.
    #[must_use]
    pub fn new(rate: u32, seed: &[u8; 16]) -> Self {
        let sets = if rate == 0 { 0 } else { RATE_SETS };
        Self {
            rate: rate.min(RATE_LIMIT_MAX),
            exempt: Access::of(default_networks()),
            hasher: SipHasher13::new_with_key(seed),
            sets: vec![[Bucket::default(); WAYS]; sets].into_boxed_slice(),
            limited: 0,
        }
    }

    /// Limits loopback and private networks, too: a test has no other sockets.
    #[cfg(test)]
    pub(crate) fn exempt_nobody(&mut self) {
        self.exempt = Access::of([]);
    }

    /// What is due to `client` at `now`, in milliseconds of a clock that never goes back, modulo 2^32.
    pub fn check(&mut self, client: IpAddr, now_milliseconds: u32) -> Verdict {
        if self.rate == 0 || self.exempt.allows(client) {
            return Verdict::Pass;
        }
        let (rate, full) = (self.rate, self.rate * REPLY_MILLI_TOKENS);
        let key = prefix(client);
        let hash = self.hasher.hash(&key.to_le_bytes()) as usize;
        let Some(set) = self.sets.get_mut(hash & (RATE_SETS - 1)) else {
            return Verdict::Pass;
        };
        for bucket in set.iter_mut() {
            bucket.fill(rate, full, now_milliseconds);
        }
        let bucket = match set.iter_mut().position(|bucket| bucket.key == key) {
            Some(place) => set.get_mut(place),
            // The fullest goes: it is the one whose prefix would be missed least. A prefix that is being limited has an
            // empty one, and so stays.
            None => set
                .iter_mut()
                .max_by_key(|bucket| bucket.fullness())
                .map(|bucket| {
                    *bucket = Bucket {
                        key,
                        milli_tokens: full,
                        at_milliseconds: now_milliseconds,
                    };
                    bucket
                }),
        };
        match bucket {
            Some(bucket) if bucket.milli_tokens < REPLY_MILLI_TOKENS => {
                self.limited = self.limited.wrapping_add(1);
                if self.limited % 2 == 1 {
                    Verdict::Slip
                } else {
                    Verdict::Drop
                }
            }
            Some(bucket) => {
                bucket.milli_tokens -= REPLY_MILLI_TOKENS;
                Verdict::Pass
            }
            None => Verdict::Pass,
        }
    }
}

impl Bucket {
    /// Adds what has come in since it was last looked at.
    fn fill(&mut self, rate: u32, full: u32, now: u32) {
        // Negative after 24 days without a look, or when clocks of two cores disagree by a tick.
        let passed = u32::try_from(now.wrapping_sub(self.at_milliseconds).cast_signed()).unwrap_or(0);
        let tokens = self.milli_tokens.saturating_add(passed.saturating_mul(rate));
        (self.milli_tokens, self.at_milliseconds) = (tokens.min(full), now);
    }

    /// More for one that may rather be given to another prefix.
    fn fullness(&self) -> (bool, u32) {
        (self.key == 0, self.milli_tokens)
    }
}

/// The network of `client`: /24 or /56, as BIND, Knot and NSD have it. Never 0.
fn prefix(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(client) => 4 << 60 | u64::from(client.to_bits() >> 8),
        IpAddr::V6(client) => 6 << 60 | (client.to_bits() >> 72) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 16] = [7; 16];

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `queries` at `now` are passed, slipped and dropped.
    fn count(limiter: &mut RateLimiter, client: &str, queries: u32, now: u32) -> [u32; 3] {
        let mut counts = [0; 3];
        for _ in 0..queries {
            counts[limiter.check(address(client), now) as usize] += 1;
        }
        counts
    }

    #[test]
    fn a_prefix_gets_its_rate_and_every_second_of_the_rest_slips() {
        let mut limiter = RateLimiter::new(200, &SEED);
        assert_eq!(count(&mut limiter, "203.0.113.9", 1000, 5), [200, 400, 400]);
        // The whole /24 shares it, and its neighbour does not.
        assert_eq!(count(&mut limiter, "203.0.113.200", 10, 5), [0, 5, 5]);
        assert_eq!(count(&mut limiter, "203.0.114.9", 10, 5), [10, 0, 0]);
        // 5 ms bring one token, a second all of them, and an hour no more than that.
        assert_eq!(count(&mut limiter, "203.0.113.9", 3, 10), [1, 1, 1]);
        assert_eq!(count(&mut limiter, "203.0.113.9", 300, 1010), [200, 50, 50]);
        assert_eq!(count(&mut limiter, "203.0.113.9", 300, 3_601_010)[0], 200);
    }

    #[test]
    fn an_ipv6_network_is_a_56_and_a_mapped_address_is_what_it_maps() {
        let mut limiter = RateLimiter::new(1, &SEED);
        assert_eq!(count(&mut limiter, "2001:db8:0:1::1", 1, 0)[0], 1);
        assert_eq!(count(&mut limiter, "2001:db8:0:ff::2", 1, 0)[0], 0);
        assert_eq!(count(&mut limiter, "2001:db8:0:100::2", 1, 0)[0], 1);
        assert_eq!(count(&mut limiter, "198.51.100.1", 1, 0)[0], 1);
        assert_eq!(count(&mut limiter, "::ffff:198.51.100.2", 1, 0)[0], 0);
    }

    #[test]
    fn private_clients_are_exempt_and_zero_limits_nobody() {
        let mut limiter = RateLimiter::new(1, &SEED);
        for client in ["127.0.0.1", "172.17.0.3", "fd00::1", "fe80::1", "::1"] {
            assert_eq!(count(&mut limiter, client, 100, 0), [100, 0, 0], "{client}");
        }
        let mut off = RateLimiter::new(0, &SEED);
        assert_eq!(count(&mut off, "203.0.113.9", 1000, 0), [1000, 0, 0]);
    }

    #[test]
    fn a_flood_of_other_prefixes_does_not_set_a_limited_one_free() {
        let mut limiter = RateLimiter::new(10, &SEED);
        assert_eq!(count(&mut limiter, "203.0.113.9", 20, 0)[0], 10);
        for number in 0..500_000_u32 {
            let client = IpAddr::from(std::net::Ipv4Addr::from(0x0b00_0000 + (number << 8)));
            limiter.check(client, 1);
        }
        assert_eq!(count(&mut limiter, "203.0.113.9", 20, 2)[0], 0);
    }

    #[test]
    fn the_clock_may_wrap_and_a_step_back_gives_nothing() {
        let mut limiter = RateLimiter::new(10, &SEED);
        assert_eq!(count(&mut limiter, "203.0.113.9", 20, u32::MAX - 50)[0], 10);
        assert_eq!(count(&mut limiter, "203.0.113.9", 20, u32::MAX - 60)[0], 0);
        assert_eq!(count(&mut limiter, "203.0.113.9", 20, 949)[0], 10);
    }

    #[test]
    fn the_largest_rate_is_no_overflow() {
        let mut limiter = RateLimiter::new(u32::MAX, &SEED);
        assert_eq!(count(&mut limiter, "203.0.113.9", 10, 0)[0], 10);
        assert_eq!(count(&mut limiter, "203.0.113.9", 10, 1 << 31)[0], 10);
    }
}
