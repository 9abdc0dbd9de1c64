//! What every server is asked about: one set of containers, told to each in its own words.
//!
//! ```text
//!  World ─┬─▶ engine: containers, for skydock
//!         ├─▶ peers:  a zone file, or a list of local data
//!         └─▶ mix:    questions, and what has to come back
//! ```

use std::net::Ipv4Addr;

/// The domain of all names.
pub const ZONE: &str = "docker";
/// The zone of names that are not ours: an upstream has them, and they are asked for by way of forwarders. Not below
/// `test`, which some answer themselves (RFC 6761, section 6.2).
pub const UPSTREAM_ZONE: &str = "upstream.example.net";
/// Names in [`UPSTREAM_ZONE`].
pub const UPSTREAM_NAMES: u32 = 1_000;
/// Seconds that every record may be kept.
pub const TTL_SECONDS: u32 = 30;
/// Port that the replicas of `queue` listen on.
pub const QUEUE_PORT: u16 = 6379;

/// Replicas of each image among the many names.
const REPLICAS: u32 = 10;
/// Containers of each image that has a purpose of its own; their numbers come first.
const SPECIAL: [(&str, u32); 4] = [("web", 1), ("eight", 8), ("queue", 3), ("wild", 1)];

/// All containers: a few with a purpose of their own, and many alike.
#[derive(Clone, Copy, Debug)]
pub struct World {
    many: u32,
}

/// One running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its place among all of them; never the same for two.
    pub number: u32,
    /// Its name, `hot`.
    pub instance: String,
    /// Its image, `web`.
    pub image: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The port that it exposes.
    pub port: Option<u16>,
}

impl World {
    /// A world with `many` containers beside the special ones.
    #[must_use]
    pub fn new(many: u32) -> Self {
        Self { many }
    }

    /// Containers that are alike.
    #[must_use]
    pub fn many(self) -> u32 {
        self.many
    }

    /// The one container that is asked for again and again.
    #[must_use]
    pub fn hot(self) -> Container {
        special(0)
    }

    /// The one of the many at `place`, which wraps around.
    #[must_use]
    pub fn one_of_many(self, place: u32) -> Container {
        let place = place % self.many.max(1);
        let number = specials() + place;
        Container {
            number,
            instance: format!("n{place}"),
            image: format!("app{}", place / REPLICAS),
            address: address(number),
            port: None,
        }
    }

    /// All containers of a special image.
    pub fn of_image(self, image: &'static str) -> impl Iterator<Item = Container> {
        (0..specials()).map(special).filter(move |it| it.image == image)
    }

    /// Every container, each once.
    pub fn containers(self) -> impl Iterator<Item = Container> {
        (0..specials())
            .map(special)
            .chain((0..self.many).map(move |place| self.one_of_many(place)))
    }

    /// The container of this number, if there is one.
    #[must_use]
    pub fn container(self, number: u32) -> Option<Container> {
        match number.checked_sub(specials()) {
            None => Some(special(number)),
            Some(place) => (place < self.many).then(|| self.one_of_many(place)),
        }
    }
}

impl Container {
    /// Its own name, without the last dot.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}.dev.{ZONE}", self.instance, self.image)
    }

    /// The name of all containers of its image.
    #[must_use]
    pub fn image_name(&self) -> String {
        format!("{}.dev.{ZONE}", self.image)
    }

    /// Its first ten digits: a label by which it is known in the zone.
    #[must_use]
    pub fn uuid(&self) -> String {
        format!("{:010x}", self.number)
    }

    /// The name that SRV records lead to.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}.{ZONE}", self.uuid())
    }

    /// Its id, as an engine has it: 64 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:0<64}", self.uuid())
    }
}

/// The name at `place` of [`UPSTREAM_ZONE`], and its address.
#[must_use]
pub fn upstream_name(place: u32) -> (String, Ipv4Addr) {
    let place = place % UPSTREAM_NAMES;
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 1)) + place);
    (format!("h{place}.{UPSTREAM_ZONE}"), address)
}

/// The name at `place` of [`UPSTREAM_ZONE`] that no cache may keep, and its address.
#[must_use]
pub fn missed_name(place: u32) -> (String, Ipv4Addr) {
    let place = place % UPSTREAM_NAMES;
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 201, 0, 1)) + place);
    (format!("m{place}.{UPSTREAM_ZONE}"), address)
}

/// The same zone for a server that reads zone files (RFC 1035, section 5).
///
/// `*.wild` is there for what a query wildcard asks of us: `any.wild` is answered by both with the same record.
#[must_use]
pub fn zone_file(world: World) -> String {
    let mut text = head(ZONE);
    for it in world.containers() {
        let name = it.name();
        text += &format!("{name}. A {}\n", it.address);
        if it.image == "eight" {
            text += &format!("{}. A {}\n", it.image_name(), it.address);
        }
        if it.image == "wild" {
            text += &format!("*.{}. A {}\n", it.image_name(), it.address);
        }
        if let Some(port) = it.port {
            let target = it.target();
            text += &format!(
                "{}. SRV 10 33 {port} {target}.\n{target}. A {}\n",
                it.image_name(),
                it.address
            );
        }
    }
    text
}

/// The zone that forwarders ask an upstream for.
#[must_use]
pub fn upstream_zone_file() -> String {
    let mut text = head(UPSTREAM_ZONE);
    // Kept for longer than any run, so that a cache is asked and not the upstream.
    text = text.replacen(&format!("$TTL {TTL_SECONDS}"), "$TTL 86400", 1);
    for place in 0..UPSTREAM_NAMES {
        let (name, address) = upstream_name(place);
        text += &format!("{name}. A {address}\n");
        let (name, address) = missed_name(place);
        text += &format!("{name}. 0 A {address}\n");
    }
    text
}

fn head(zone: &str) -> String {
    format!(
        "$TTL {TTL_SECONDS}\n{zone}. SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 30\n{zone}. NS ns.{zone}.\n\
         ns.{zone}. A 10.255.0.1\n"
    )
}

fn specials() -> u32 {
    SPECIAL.iter().map(|(_, count)| count).sum()
}

/// The special container of this number, which is below [`specials`].
fn special(number: u32) -> Container {
    let mut place = number;
    for (image, count) in SPECIAL {
        if place < count {
            let instance = match image {
                "web" => "hot".to_owned(),
                _ => format!("{image}{place}"),
            };
            return Container {
                number,
                instance,
                image: image.to_owned(),
                address: address(number),
                port: (image == "queue").then_some(QUEUE_PORT),
            };
        }
        place -= count;
    }
    unreachable!("{number} is below the number of special containers")
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + number)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_container_is_there_once_and_found_by_its_number() {
        let world = World::new(25);
        let all: Vec<_> = world.containers().collect();
        assert_eq!(all.len(), 25 + 13);
        let names: HashSet<_> = all.iter().map(Container::name).collect();
        assert_eq!(names.len(), all.len());
        for it in &all {
            assert_eq!(world.container(it.number).as_ref(), Some(it));
            assert_eq!(it.id().len(), 64);
        }
        assert_eq!(world.container(38), None);
        assert_eq!(world.hot().name(), "hot.web.dev.docker");
        assert_eq!(world.one_of_many(24).name(), "n24.app2.dev.docker");
    }

    #[test]
    fn the_zone_file_has_a_record_for_each_question_that_can_be_asked() {
        let text = zone_file(World::new(3));
        for line in [
            "$TTL 30",
            "hot.web.dev.docker. A 10.0.0.1",
            "eight.dev.docker. A 10.0.0.2",
            "eight.dev.docker. A 10.0.0.9",
            "queue.dev.docker. SRV 10 33 6379 0000000009.docker.",
            "0000000009.docker. A 10.0.0.10",
            "*.wild.dev.docker. A 10.0.0.13",
            "n2.app0.dev.docker. A 10.0.0.16",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(upstream_zone_file().contains("h999.upstream.example.net. A 10.200.3.232"));
        assert!(upstream_zone_file().contains("m999.upstream.example.net. 0 A 10.201.3.232"));
    }
}
