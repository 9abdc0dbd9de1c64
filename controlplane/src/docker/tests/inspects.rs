//! Inspects that come late, come to nothing, fail or hang.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_container_that_starts_while_the_list_is_under_way_is_part_of_the_first_state() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    let gate = Arc::new(Notify::new());
    engine.script("/containers/json", Reply::Gate(gate.clone()));
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    engine.saw("/containers/json", 1).await;
    engine.subscribed().await;
    engine.run("b", "10.0.0.2");
    engine.event("start", "b");
    engine.saw(&inspect_path("b"), 1).await;
    gate.notify_one();
    rig.until("a=10.0.0.1,b=10.0.0.2").await;
    assert!(rig.told[0].starts_with('='), "{:?}", rig.told);
}

#[tokio::test]
async fn a_container_that_dies_while_its_inspect_is_under_way_stays_gone() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    let gate = Arc::new(Notify::new());
    engine.script(&inspect_path("a"), Reply::Gate(gate.clone()));
    engine.run("a", "10.0.0.2");
    engine.event("start", "a");
    engine.saw(&inspect_path("a"), 1).await;
    engine.end("a");
    engine.event("die", "a");
    rig.expect(&["-a"]).await;
    gate.notify_one();
    rig.expect_quiet().await;
}

#[tokio::test]
async fn a_container_that_is_gone_at_its_inspect_is_passed_over() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.event("start", "ghost");
    engine.script(&inspect_path("a"), Reply::Status(404));
    engine.event("update", "a");
    rig.expect(&["-a"]).await;
    assert_eq!(rig.counters.inspect_failures(), 0);
}

#[tokio::test]
async fn an_inspect_that_fails_or_hangs_is_repeated_and_holds_up_nobody() {
    for fault in [Reply::Status(500), Reply::Hang, Reply::Raw(b"rubbish\r\n\r\n")] {
        let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
        engine.script(&inspect_path("bad"), fault);
        engine.run("bad", "10.0.0.2");
        engine.event("start", "bad");
        engine.saw(&inspect_path("bad"), 1).await;
        engine.run("good", "10.0.0.3");
        engine.event("start", "good");
        rig.expect(&["+good=10.0.0.3"]).await;
        rig.until("a=10.0.0.1,bad=10.0.0.2,good=10.0.0.3").await;
        assert_eq!(rig.counters.inspect_failures(), 1);
    }
}

#[tokio::test]
async fn an_inspect_that_hangs_at_the_start_does_not_hold_up_the_others_names() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    engine.run("hung", "10.0.0.2");
    engine.list_little_of("hung");
    engine.script(&inspect_path("hung"), Reply::Hang);
    let mut rig = Rig::start(
        &engine.socket(),
        Pace {
            deadline: HOURS,
            ..TEST_PACE
        },
    );
    rig.expect(&["=a=10.0.0.1"]).await;
    rig.connected(1).await;
}

#[tokio::test]
async fn what_the_list_tells_is_served_while_no_inspect_is_answered() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    for (name, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        engine.run(name, address);
        engine.script(&inspect_path(name), Reply::Hang);
    }
    let pace = Pace {
        deadline: HOURS,
        ..TEST_PACE
    };
    let mut rig = Rig::start(&engine.socket(), pace);
    rig.expect(&["=a=10.0.0.1,b=10.0.0.2"]).await;
    rig.connected(2).await;
    // They are asked for in the end, and others are not held up by them.
    engine.saw(&inspect_path("b"), 1).await;
    engine.run("c", "10.0.0.3");
    engine.event("start", "c");
    rig.expect(&["+c=10.0.0.3"]).await;
    engine.event("die", "a");
    rig.expect(&["-a"]).await;
}

// The list of an engine says nothing of the ports of a container on an internal network.
#[tokio::test]
async fn a_container_whose_ports_the_list_may_not_show_is_inspected_before_it_is_served() {
    for (options, is_waited_for) in [
        (json!({"Internal": true}), true),
        (json!({"Driver": "macvlan"}), true),
        (json!({}), false),
    ] {
        let mut engine = FakeEngine::new();
        engine.start();
        engine.network("bridge", &["10.0.0.0/24"]);
        engine.change_network("bridge", &options);
        engine.run("a", "10.0.0.1");
        engine.change("a", |it| it["Config"]["ExposedPorts"] = json!({}));
        engine.script(&inspect_path("a"), Reply::Hang);
        let pace = Pace {
            deadline: HOURS,
            ..TEST_PACE
        };
        let mut rig = Rig::start(&engine.socket(), pace);
        let told = if is_waited_for { "=" } else { "=a=10.0.0.1" };
        rig.expect(&[told]).await;
    }
}

#[tokio::test]
async fn what_happened_before_the_connection_is_looked_at_and_withdraws_nobody() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    for (name, address) in [("ended", "10.0.0.1"), ("back", "10.0.0.2"), ("c", "10.0.0.3")] {
        engine.run(name, address);
    }
    let (ended, back) = (event("die", "ended"), event("die", "back"));
    let gate = Arc::new(Notify::new());
    engine.script("/containers/json", Reply::Gate(gate.clone()));
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    engine.subscribed().await;
    engine.octets((ended + &back).as_bytes());
    // The list shows it as it was, and the inspect as it is.
    engine.script(&inspect_path("ended"), Reply::Status(404));
    engine.saw(&inspect_path("ended"), 1).await;
    gate.notify_one();
    rig.expect(&["=back=10.0.0.2,c=10.0.0.3"]).await;
}

#[tokio::test]
async fn an_inspect_of_ten_megabytes_is_read() {
    let (engine, mut rig) = rig_at(
        &[],
        Pace {
            deadline: PACE.deadline,
            ..TEST_PACE
        },
    )
    .await;
    engine.run("big", "10.0.0.1");
    engine.bloat("big", 10_000_000);
    engine.event("start", "big");
    rig.until("big=10.0.0.1").await;
}

#[tokio::test]
async fn inspects_one_after_another_take_the_same_connection() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    let before = engine.connections();
    for number in 2..10 {
        let address = format!("10.0.0.{number}");
        engine.run("a", &address);
        engine.event("update", "a");
        rig.until(&format!("a={address}")).await;
    }
    assert!(engine.count(&inspect_path("a")) >= 8);
    assert!(engine.connections() <= before + 1, "{}", engine.connections());
}

#[tokio::test]
async fn a_connection_that_the_engine_closed_meanwhile_costs_no_inspect() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    for number in 2..6 {
        engine.close_idle().await;
        let address = format!("10.0.0.{number}");
        engine.run("a", &address);
        engine.event("update", "a");
        rig.until(&format!("a={address}")).await;
    }
    assert_eq!(rig.counters.inspect_failures(), 0);
}

#[tokio::test]
async fn a_connection_that_is_closed_under_a_request_costs_neither_an_inspect_nor_the_session() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    for number in 2..6 {
        let address = format!("10.0.0.{number}");
        engine.run("a", &address);
        engine.script(&inspect_path("a"), Reply::Raw(b""));
        engine.event("update", "a");
        rig.until(&format!("a={address}")).await;
    }
    assert_eq!(
        (rig.counters.inspect_failures(), engine.count("/version")),
        (0, 1)
    );
}
