//! How soon an answer follows an event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::REDIS;
use crate::support::daemon::world;
use crate::support::engine::{self, Engine};
use crate::support::{self, SOON, eventually, raw, unique};

/// From the time that the engine gives its event to the first answer, by this host's clock both.
#[test]
fn a_start_is_answered_soon_after_the_engine_tells_of_it() {
    /// Ten times and more what it takes, for a machine that compiles meanwhile.
    const BOUND: Duration = Duration::from_millis(500);
    let Some((engine, daemon)) = world("") else {
        return;
    };
    let asker = raw::Asker::of(daemon.dns());
    let mut took = Vec::new();
    for _ in 0..5 {
        let name = unique("timed");
        engine.docker(&[
            "create",
            "--name",
            &name,
            "--stop-signal",
            "KILL",
            engine::BUSYBOX,
        ]);
        let packet = raw::query(1, &format!("{name}.{REDIS}"), 1);
        let answered = std::thread::scope(|scope| {
            let answered = scope.spawn(|| {
                eventually("an answer", SOON, || {
                    let reply = asker.ask(&packet).ok_or("silence")?;
                    support::expect(|answers| *answers == 1, raw::answers(&reply)).map(|_| SystemTime::now())
                })
            });
            engine.docker(&["start", &name]);
            answered.join().expect("it was answered")
        });
        let told = UNIX_EPOCH + Duration::from_nanos(start_event_ns(&engine, &name));
        engine.docker(&["rm", "--force", &name]);
        took.push(answered.duration_since(told).unwrap_or_default());
    }
    assert!(
        took.iter().all(|took| *took < BOUND),
        "from event to answer: {took:?}"
    );
}

/// When the container was started, in nanoseconds since 1970, as the engine's event has it.
fn start_event_ns(engine: &Engine, name: &str) -> u64 {
    let until = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that was set")
        .as_secs()
        + 1;
    let (until, container) = (until.to_string(), format!("container={name}"));
    let mut arguments = vec![
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--format",
        "{{.TimeNano}}",
    ];
    arguments.extend(["--filter", "event=start", "--filter", &container]);
    let event = engine.docker(&arguments);
    event
        .parse()
        .unwrap_or_else(|_| unreachable!("one start event of {name}, but {event:?}"))
}
