//! Many containers that start, or end, at the same time.

use super::*;

/// Containers that start and end at once.
const BURST: usize = 1000;
/// What was found of those who start waits so long for the rest, so there is one publication in that time.
const GATHERED: Duration = Duration::from_millis(25);
/// Who ends waits for nobody: there is a publication whenever the events run dry, and of what a socket holds of them, some
/// hundred kilobytes at once, that is far more than so many containers each time.
const ENDS_AT_ONCE: usize = 25;

#[tokio::test]
async fn a_thousand_containers_that_start_or_end_at_once_are_a_few_publications() {
    let mut engine = FakeEngine::new();
    engine.start();
    let mut line = Line::of(&engine, PACE_WITHOUT_LISTS);
    engine.subscribed().await;
    let words: Vec<String> = (0..BURST).map(|number| format!("c{number}x")).collect();
    for (number, word) in words.iter().enumerate() {
        engine.run(word, &format!("10.0.{}.{}", number / 250, number % 250 + 1));
    }
    for (action, others, expected) in [("start", "", BURST), ("die", "stop", 0)] {
        if expected == 0 {
            words.iter().for_each(|word| engine.end(word));
        }
        let events = words.iter().map(|word| match others {
            "" => event(action, word),
            then => event(action, word) + &event(then, word),
        });
        let before = line.reader.load().serial();
        let began = Instant::now();
        engine.octets(events.collect::<String>().as_bytes());
        let mut published = usize::MAX;
        for _ in 0..3000 {
            let counts = line.census.counts();
            published = counts
                .iter()
                .find(|(it, _)| *it == Standing::Published)
                .map_or(0, |it| it.1);
            let name = format!("c{}x.docker", BURST - 1);
            let is_there = addresses(line.reader.load(), &name) != "nxdomain";
            if published == expected && is_there == (expected > 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(published, expected, "after {action}");
        let publications = line.reader.load().serial() - before;
        let most = match expected {
            0 => BURST / ENDS_AT_ONCE,
            // One more for what came first, and one for what was under way when the time was taken.
            _ => usize::try_from(began.elapsed().as_millis() / GATHERED.as_millis()).unwrap() + 2,
        };
        assert!(
            usize::try_from(publications).unwrap() <= most,
            "{publications} for {action}, {most} at most"
        );
    }
}
