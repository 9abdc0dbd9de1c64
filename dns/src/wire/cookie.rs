//! DNS cookies (RFC 7873), with the server cookie that servers of all makes agree on (RFC 9018).
//!
//! ```text
//! client cookie  | 8 octets of the client's choice |
//! server cookie  | version: u8, 1 | reserved: 3 octets | seconds since 1970: u32 | hash: 8 octets |
//! hash           SipHash-2-4 of client cookie, version, reserved, seconds and client address
//! ```
//!
//! Whoever sends back a server cookie has received it, and so is where it says it is. Nothing is stored for it:
//! a secret and the time are enough to check one.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use siphasher::sip128;

use super::ParseError;

/// Length of a client cookie, in octets (RFC 7873, section 4).
pub const CLIENT_COOKIE_OCTETS: usize = 8;
/// Length of a server cookie of ours, in octets (RFC 9018, section 4).
pub const SERVER_COOKIE_OCTETS: usize = 16;
/// Length of a whole cookie of ours, in octets.
pub const COOKIE_OCTETS: usize = CLIENT_COOKIE_OCTETS + SERVER_COOKIE_OCTETS;

/// How long a server cookie is good for, in seconds (RFC 9018, section 4.3).
const AGE_SECONDS_MAX: i32 = 60 * 60;
/// How far ahead of ours the clock may be that stamped a cookie, in seconds (the same section).
const AHEAD_SECONDS_MAX: i32 = 5 * 60;
/// Age from which a good cookie is replaced by a new one, in seconds (the same section).
const RENEWAL_SECONDS: i32 = 30 * 60;
/// How long a secret makes cookies, in seconds: a day; 36 is the most that RFC 7873, section 7.1, allows. The
/// one before it is still taken, so no cookie ends before its time.
const SECRET_SECONDS: u32 = 24 * 60 * 60;
const _: () = assert!(
    SECRET_SECONDS as i64 > AGE_SECONDS_MAX as i64,
    "a cookie outlives at most one secret"
);

/// The first four octets of a server cookie of ours: version 1, three reserved.
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// A cookie as a query carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'p> {
    /// The client's half.
    pub client: [u8; CLIENT_COOKIE_OCTETS],
    /// The server's half as the client remembers it, 8 to 32 octets; empty if it knows none.
    pub server: &'p [u8],
}

/// What a client's cookie proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: the client does not know its server cookie yet.
    New,
    /// That the client is where it says it is.
    Valid,
    /// Nothing: the server cookie is too old, another client's, or not ours.
    Invalid,
}

impl<'p> Cookie<'p> {
    /// Reads the data of a COOKIE option.
    ///
    /// # Errors
    ///
    /// [`ParseError::Edns`]: neither 8 nor 16 to 40 octets (RFC 7873, section 5.2.2).
    pub fn read(option: &'p [u8]) -> Result<Self, ParseError> {
        match option.split_first_chunk() {
            Some((&client, server)) if matches!(server.len(), 0 | 8..=32) => Ok(Self { client, server }),
            _ => Err(ParseError::Edns),
        }
    }
}

/// Makes and checks server cookies, at the moment it was last told of.
///
/// Jars with one master secret agree with each other, on whatever core they are: what they make cookies with is
/// derived from it, anew each day.
#[derive(Clone)]
pub struct CookieJar {
    master: [u8; 16],
    now_seconds: u32,
    day: u32,
    secrets: Secrets,
}

/// What cookies are made with, and what the ones before were made with.
#[derive(Clone, Copy)]
struct Secrets {
    current: [u8; 16],
    previous: [u8; 16],
}

impl CookieJar {
    /// A jar whose secrets derive from `master`, which must be unpredictable, at second 0 of 1970.
    #[must_use]
    pub fn new(master: [u8; 16]) -> Self {
        Self {
            master,
            now_seconds: 0,
            day: 0,
            secrets: Secrets::of_day(&master, 0),
        }
    }

    /// Tells the time, in seconds since 1970 modulo 2^32. A change of day changes the secret.
    pub fn set_time(&mut self, now_seconds: u32) {
        self.now_seconds = now_seconds;
        let day = now_seconds / SECRET_SECONDS;
        if day != self.day {
            self.day = day;
            self.secrets = Secrets::of_day(&self.master, day);
        }
    }

    /// What `cookie` proves of a client at `address`, and the cookie to answer it with: its own half, and the
    /// server cookie it came with while that is fresh, else a new one.
    #[must_use]
    pub fn answer(&self, cookie: &Cookie<'_>, address: IpAddr) -> (Standing, [u8; COOKIE_OCTETS]) {
        self.secrets.answer(cookie, address, self.now_seconds)
    }
}

impl fmt::Debug for CookieJar {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar")
            .field("now_seconds", &self.now_seconds)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    fn of_day(master: &[u8; 16], day: u32) -> Self {
        let hasher = sip128::SipHasher24::new_with_key(master);
        let of = |day: u32| hasher.hash(&day.to_be_bytes()).as_bytes();
        Self {
            current: of(day),
            previous: of(day.wrapping_sub(1)),
        }
    }

    fn answer(&self, cookie: &Cookie<'_>, address: IpAddr, now: u32) -> (Standing, [u8; COOKIE_OCTETS]) {
        let standing = match <&[u8; SERVER_COOKIE_OCTETS]>::try_from(cookie.server) {
            Ok(server) => match self.check(&cookie.client, server, address, now) {
                // The very cookie it came with goes back, which saves a hash and the client a change.
                Some(true) => return (Standing::Valid, whole(&cookie.client, server)),
                Some(false) => Standing::Valid,
                None => Standing::Invalid,
            },
            Err(_) if cookie.server.is_empty() => Standing::New,
            Err(_) => Standing::Invalid,
        };
        let server = server_cookie(&self.current, &cookie.client, VERSION, now, address);
        (standing, whole(&cookie.client, &server))
    }

    /// Whether a good server cookie is fresh; none for one that is not good.
    fn check(
        &self,
        client: &[u8; CLIENT_COOKIE_OCTETS],
        server: &[u8; SERVER_COOKIE_OCTETS],
        address: IpAddr,
        now: u32,
    ) -> Option<bool> {
        let &[version, r0, r1, r2, t0, t1, t2, t3, ..] = server;
        let made = u32::from_be_bytes([t0, t1, t2, t3]);
        // Serial number arithmetic (RFC 1982): the seconds wrap in 2106.
        let age = now.wrapping_sub(made).cast_signed();
        if version != 1 || !(-AHEAD_SECONDS_MAX..=AGE_SECONDS_MAX).contains(&age) {
            return None;
        }
        let is_from = |secret| server_cookie(secret, client, [version, r0, r1, r2], made, address) == *server;
        if is_from(&self.current) {
            Some(age <= RENEWAL_SECONDS && [r0, r1, r2] == [0; 3])
        } else {
            is_from(&self.previous).then_some(false)
        }
    }
}

/// The server cookie of a client at `address` (RFC 9018, section 4).
fn server_cookie(
    secret: &[u8; 16],
    client: &[u8; CLIENT_COOKIE_OCTETS],
    version: [u8; 4],
    seconds: u32,
    address: IpAddr,
) -> [u8; SERVER_COOKIE_OCTETS] {
    let [v0, v1, v2, v3] = version;
    let [s0, s1, s2, s3] = seconds.to_be_bytes();
    let [c0, c1, c2, c3, c4, c5, c6, c7] = *client;
    let head = [c0, c1, c2, c3, c4, c5, c6, c7, v0, v1, v2, v3, s0, s1, s2, s3];
    let mut input = [0; 32];
    let (front, back) = input.split_at_mut(head.len());
    front.copy_from_slice(&head);
    let length = match address.to_canonical() {
        IpAddr::V4(address) => back
            .first_chunk_mut()
            .map(|room| *room = address.octets())
            .map_or(0, |()| 4),
        IpAddr::V6(address) => {
            back.copy_from_slice(&address.octets());
            16
        }
    };
    let hashed = input.get(..head.len() + length).unwrap_or_default();
    let [h0, h1, h2, h3, h4, h5, h6, h7] = SipHasher24::new_with_key(secret).hash(hashed).to_le_bytes();
    [v0, v1, v2, v3, s0, s1, s2, s3, h0, h1, h2, h3, h4, h5, h6, h7]
}

fn whole(client: &[u8; CLIENT_COOKIE_OCTETS], server: &[u8; SERVER_COOKIE_OCTETS]) -> [u8; COOKIE_OCTETS] {
    let mut octets = [0; COOKIE_OCTETS];
    let (first, second) = octets.split_at_mut(CLIENT_COOKIE_OCTETS);
    first.copy_from_slice(client);
    second.copy_from_slice(server);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn secrets(current: &str, previous: &str) -> Secrets {
        let secret = |hex| octets(hex).try_into().unwrap();
        Secrets {
            current: secret(current),
            previous: secret(previous),
        }
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const OTHER: &str = "00000000000000000000000000000000";

    /// What `from` sent at `now` proves, and what it is answered.
    fn check(secrets: Secrets, from: &str, now: u32, sent: &str, expected: (Standing, &str)) {
        let sent = octets(sent);
        let cookie = Cookie::read(&sent).unwrap();
        let (standing, answer) = secrets.answer(&cookie, from.parse().unwrap(), now);
        assert_eq!((standing, answer.to_vec()), (expected.0, octets(expected.1)));
    }

    // RFC 9018, appendix A.1.
    #[test]
    fn a_new_client_learns_its_server_cookie() {
        check(
            secrets(SECRET, OTHER),
            "198.51.100.100",
            1_559_731_985,
            "2464c4abcf10c957",
            (Standing::New, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
        );
    }

    // RFC 9018, appendix A.2.
    #[test]
    fn a_cookie_of_forty_minutes_is_good_and_renewed() {
        check(
            secrets(SECRET, OTHER),
            "198.51.100.100",
            1_559_734_385,
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            (
                Standing::Valid,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
        );
    }

    // RFC 9018, appendix A.3: the cookie has reserved octets, and is almost two hours old.
    #[test]
    fn reserved_octets_are_hashed_as_they_came_and_not_copied() {
        let sent = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        check(
            secrets(SECRET, OTHER),
            "203.0.113.203",
            1_559_734_700,
            sent,
            (
                Standing::Invalid,
                "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            ),
        );
        let sent = octets(sent);
        let cookie = Cookie::read(&sent).unwrap();
        let address = "203.0.113.203".parse().unwrap();
        let (standing, answer) = secrets(SECRET, OTHER).answer(&cookie, address, 1_559_727_985);
        assert_eq!((standing, &answer[8..12]), (Standing::Valid, &VERSION[..]));
    }

    // RFC 9018, appendix A.4.
    #[test]
    fn a_cookie_of_the_previous_secret_is_good_and_replaced_by_one_of_the_current() {
        check(
            secrets(
                "445536bcd2513298075a5d379663c962",
                "dd3bdf9344b678b185a6f5cb60fca715",
            ),
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            1_559_741_961,
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
            (
                Standing::Valid,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        );
    }

    #[test]
    fn a_cookie_proves_nothing_once_it_is_old_or_ahead_of_its_time_or_from_elsewhere_or_changed() {
        let secrets = secrets(SECRET, OTHER);
        let home = "198.51.100.100".parse().unwrap();
        let made = 1_559_731_985_u32;
        let (_, cookie) = secrets.answer(
            &Cookie {
                client: [7; 8],
                server: &[],
            },
            home,
            made,
        );
        let standing =
            |octets: &[u8], address, now| secrets.answer(&Cookie::read(octets).unwrap(), address, now).0;
        for (now, expected) in [
            (made, Standing::Valid),
            (made + 3600, Standing::Valid),
            (made + 3601, Standing::Invalid),
            (made - 300, Standing::Valid),
            (made - 301, Standing::Invalid),
        ] {
            assert_eq!(standing(&cookie, home, now), expected, "{now}");
        }
        let mapped = "::ffff:198.51.100.100".parse().unwrap();
        assert_eq!(standing(&cookie, mapped, made), Standing::Valid);
        let elsewhere = "198.51.100.101".parse().unwrap();
        assert_eq!(standing(&cookie, elsewhere, made), Standing::Invalid);
        for octet in 0..cookie.len() {
            let mut changed = cookie;
            changed[octet] ^= 1;
            assert_eq!(standing(&changed, home, made), Standing::Invalid, "octet {octet}");
        }
        assert_eq!(
            standing(&[&cookie[..], &[0]].concat(), home, made),
            Standing::Invalid
        );
        assert_eq!(standing(&cookie[..16], home, made), Standing::Invalid);
    }

    #[test]
    fn a_fresh_cookie_comes_back_as_it_was() {
        let secrets = secrets(SECRET, OTHER);
        let (home, now) = ("10.0.0.1".parse().unwrap(), u32::MAX - 10);
        let first = secrets.answer(&Cookie::read(&[7; 8]).unwrap(), home, now).1;
        // The seconds wrap in between.
        let again = secrets.answer(&Cookie::read(&first).unwrap(), home, now.wrapping_add(60));
        assert_eq!(again, (Standing::Valid, first));
    }

    #[test]
    fn jars_of_one_master_agree_and_a_cookie_survives_midnight() {
        let (mut one, mut other) = (CookieJar::new([3; 16]), CookieJar::new([3; 16]));
        let home = "10.0.0.1".parse().unwrap();
        one.set_time(2 * SECRET_SECONDS - 10);
        other.set_time(2 * SECRET_SECONDS + 10);
        let (_, cookie) = one.answer(&Cookie::read(&[7; 8]).unwrap(), home);
        let (standing, renewed) = other.answer(&Cookie::read(&cookie).unwrap(), home);
        assert_eq!(standing, Standing::Valid);
        assert_ne!(renewed, cookie);
        let mut stranger = CookieJar::new([4; 16]);
        stranger.set_time(2 * SECRET_SECONDS + 10);
        assert_eq!(
            stranger.answer(&Cookie::read(&cookie).unwrap(), home).0,
            Standing::Invalid
        );
        assert!(!format!("{one:?}").contains("secret"));
    }

    // RFC 7873, section 5.2.2.
    #[test]
    fn lengths_that_no_cookie_has_are_refused() {
        for length in 0..=50 {
            let is_good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::read(&vec![0; length]).is_ok(), is_good, "{length}");
        }
    }
}
