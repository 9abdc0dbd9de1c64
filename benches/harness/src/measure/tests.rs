use std::cell::Cell;

use super::*;

/// A server by what it does: its rate at its peak, and how it answers.
struct Scripted {
    kind: Kind,
    port: u16,
    is_calm: bool,
    used: Cell<f64>,
}

impl Taker for Scripted {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn address(&self, path: Path) -> SocketAddr {
        SocketAddr::from((path.address(), self.port))
    }
    fn cpu_seconds(&self) -> f64 {
        self.used.set(self.used.get() + 0.25);
        self.used.get()
    }
    fn calm_down(&self) -> Result<(), String> {
        if self.is_calm {
            Ok(())
        } else {
            Err("0.9 of a core".to_owned())
        }
    }
}

/// Notes what it is told to ask, and answers for the port.
struct Notes {
    asked: Vec<(u16, Spec)>,
    answer: fn(&Spec) -> Outcome,
}

impl Asker for Notes {
    fn ask(&mut self, _: Mix, spec: &Spec) -> io::Result<Outcome> {
        self.asked.push((spec.to.port(), *spec));
        Ok((self.answer)(spec))
    }
}

fn servers() -> [Scripted; 3] {
    let kinds = [(Kind::Skydock, 1), (Kind::Knot, 2), (Kind::Nsd, 3)];
    kinds.map(|(kind, port)| Scripted {
        kind,
        port,
        is_calm: true,
        used: Cell::new(0.0),
    })
}

/// The peak of the hot name, and a share of it.
fn plan() -> Vec<Point> {
    let peak = Point {
        mix: Mix::Hot,
        transport: Transport::Udp,
        edns: true,
        path: Path::Loopback,
        load: Load::Peak,
        seconds: 1.0,
        rounds: 3,
    };
    let share = Point {
        load: Load::ShareOfPeak,
        seconds: 2.0,
        ..peak
    };
    vec![peak, share]
}

/// Each port answers ten thousand times its number a second.
fn right(spec: &Spec) -> Outcome {
    Outcome {
        sent: 100,
        answered: 100,
        rate: f64::from(spec.to.port()) * 10_000.0,
        ..Outcome::default()
    }
}

fn measured(servers: &[Scripted], answer: fn(&Spec) -> Outcome) -> (Measured, Vec<(u16, Spec)>) {
    let notes = Notes {
        asked: Vec::new(),
        answer,
    };
    let mut askers = HashMap::from([(Path::Loopback, notes)]);
    let cores = Watched {
        server: 0,
        all: vec![0],
    };
    let measured = measure(&plan(), servers, &mut askers, &cores, |_| {}).unwrap();
    (measured, askers.remove(&Path::Loopback).unwrap().asked)
}

#[test]
fn all_take_their_turn_in_each_round_and_nobody_always_follows_the_same_one() {
    let (measured, asked) = measured(&servers(), right);
    // Each was asked twice before, to be warm and to prove itself.
    let order: Vec<_> = asked.iter().skip(6).map(|(port, _)| *port).collect();
    assert_eq!(order, [1, 2, 3, 2, 3, 1, 3, 1, 2, 1, 2, 3, 2, 3, 1, 3, 1, 2]);
    let of = |kind| measured.samples.iter().filter(move |sample| sample.kind == kind);
    let rounds: Vec<_> = of(Kind::Knot)
        .map(|sample| (sample.point, sample.round))
        .collect();
    assert_eq!(rounds, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    assert!(of(Kind::Nsd).all(|sample| (sample.cpu_seconds - 0.25).abs() < 1e-9));
    assert_eq!(measured.notes, [""; 0]);
}

#[test]
fn each_is_asked_at_a_share_of_its_own_peak() {
    let (_, asked) = measured(&servers(), right);
    for (port, spec) in asked.iter().filter(|(_, spec)| spec.seconds == 2.0) {
        assert_eq!(spec.pace, Pace::Rate(f64::from(*port) * 10_000.0 * SHARE_OF_PEAK));
    }
    assert_eq!(asked.iter().filter(|(_, spec)| spec.seconds == 2.0).count(), 9);
}

#[test]
fn who_answers_wrongly_or_not_at_all_is_left_out_and_told_of() {
    let (measured, _) = measured(&servers(), |spec| match spec.to.port() {
        1 => right(spec),
        2 => Outcome {
            wrong: 1,
            complaint: Some("Records".to_owned()),
            ..right(spec)
        },
        _ => Outcome::default(),
    });
    assert!(measured.samples.iter().all(|sample| sample.kind == Kind::Skydock));
    assert_eq!(
        measured.notes,
        [
            "knot, hot over Udp: wrong answers: Records",
            "nsd, hot over Udp: no answer"
        ]
    );
}

#[test]
fn who_does_not_come_to_rest_is_told_of_once() {
    let mut servers = servers();
    servers[1].is_calm = false;
    let (measured, _) = measured(&servers, right);
    assert_eq!(measured.notes, ["knot after hot: 0.9 of a core"]);
}

#[test]
fn a_way_that_could_not_be_made_is_told_once_and_not_measured() {
    let mut plan = plan();
    plan.iter_mut().for_each(|point| point.path = Path::Bridge);
    let mut askers: HashMap<Path, Notes> = HashMap::new();
    let cores = Watched {
        server: 0,
        all: vec![0],
    };
    let measured = measure(&plan, &servers(), &mut askers, &cores, |_| {}).unwrap();
    assert!(measured.samples.is_empty());
    assert_eq!(measured.notes, ["bridge: this way could not be made"]);
}
