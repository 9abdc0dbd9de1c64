//! Questions over UDP, and whether their answers are right.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{SERVICES, Service};

/// Questions that wait for their answers at one time, where as many are asked as are answered.
const WINDOW: usize = 64;

/// What became of questions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) wrong: u64,
    took: Duration,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.answered as f64 / self.took.as_secs_f64();
        let Self { sent, wrong, .. } = self;
        let missing = sent - self.answered;
        write!(f, "{rate:.0} answers a second, {missing} missing, {wrong} wrong")
    }
}

/// Asks `rate` questions a second until `stop`; 0: as many as are answered.
pub(crate) fn ask_until(stop: &AtomicBool, dns: SocketAddr, rate: f64) -> Asked {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(dns).expect("an address");
    socket.set_nonblocking(true).expect("a socket");
    let mut waiting: Vec<Option<(Vec<u8>, Service)>> = vec![None; usize::from(u16::MAX) + 1];
    let (mut asked, began, mut reply) = (Asked::default(), Instant::now(), [0; 512]);
    while !stop.load(Ordering::Relaxed) {
        let due = match rate > 0.0 {
            true => (began.elapsed().as_secs_f64() * rate) as u64,
            false => asked.answered + WINDOW as u64,
        };
        while asked.sent < due {
            // A prime, so that they come in no order that anything here has.
            let service = Service(usize::try_from(asked.sent).expect("it is small") * 7919 % SERVICES);
            let id = (asked.sent & u64::from(u16::MAX)) as u16;
            let question = question(id, service);
            if socket.send(&question).is_err() {
                break;
            }
            if let Some(place) = waiting.get_mut(usize::from(id)) {
                *place = Some((question, service));
            }
            asked.sent += 1;
        }
        let mut is_idle = true;
        while let Ok(octets) = socket.recv(&mut reply) {
            is_idle = false;
            take(&mut asked, &mut waiting, reply.get(..octets).unwrap_or_default());
        }
        if is_idle {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    asked.took = began.elapsed();
    std::thread::sleep(Duration::from_millis(200));
    while let Ok(octets) = socket.recv(&mut reply) {
        take(&mut asked, &mut waiting, reply.get(..octets).unwrap_or_default());
    }
    asked
}

fn take(asked: &mut Asked, waiting: &mut [Option<(Vec<u8>, Service)>], reply: &[u8]) {
    let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let Some((question, service)) = waiting.get_mut(usize::from(id)).and_then(Option::take) else {
        asked.wrong += 1;
        return;
    };
    asked.answered += 1;
    let turns = if service.moves() { 0..=1 } else { 0..=0 };
    let address = addresses(&question, reply);
    let is_right = turns
        .into_iter()
        .any(|turn| address == Some(service.address(turn)));
    asked.wrong += u64::from(!is_right);
}

/// A query for the addresses of one service.
pub(crate) fn question(id: u16, service: Service) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in [&*service.id(), &service.word(), "dev", "docker", ""] {
        octets.push(u8::try_from(label.len()).expect("labels are short"));
        octets.extend(label.as_bytes());
    }
    octets.extend([0, 1, 0, 1]);
    octets
}

/// The address in a reply that has that one answer and nothing more.
pub(crate) fn addresses(question: &[u8], reply: &[u8]) -> Option<[u8; 4]> {
    let (flags, counts) = (reply.get(2..4)?, reply.get(4..12)?);
    let is_answer =
        flags.first()? & 0x80 != 0 && flags.last()? & 0x0f == 0 && counts == [0, 1, 0, 1, 0, 0, 0, 0];
    let rest = reply.get(question.len()..)?;
    let is_address = rest.get(..6)? == [0xc0, 12, 0, 1, 0, 1] && rest.get(10..12)? == [0, 4];
    let same = reply.get(12..question.len())? == question.get(12..)?;
    (is_answer && is_address && same)
        .then(|| rest.get(12..)?.try_into().ok())
        .flatten()
}
