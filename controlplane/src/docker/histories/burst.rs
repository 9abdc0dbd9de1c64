//! Many containers that start, or end, at the same time.

use super::*;

/// Containers that start and end at once.
const BURST: usize = 1000;
/// Publications that all of them may take, however slow the machine is.
const PUBLICATIONS_MAX: u32 = 100;

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
        assert!(publications <= PUBLICATIONS_MAX, "{publications} for {action}");
    }
}
