//! Names that containers carry, whether they run or not.

use serde_json::json;

use super::*;

const NAME: &str = "shop.example";

/// The container of an engine asks for [`NAME`].
fn asks(engine: &FakeEngine, name: &str) {
    engine.change(name, |it| it["Config"]["Labels"] = json!({"skydock.name": NAME}));
}

fn stopped(engine: &FakeEngine, name: &str) {
    engine.change(name, |it| {
        it["State"] = json!({"Status": "exited", "Running": false});
        it["NetworkSettings"] = json!({"Networks": {"bridge": {"IPAddress": ""}}});
    });
}

#[tokio::test]
async fn a_name_is_carried_by_a_container_that_does_not_run_when_we_come() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    engine.run("s", "10.0.0.2");
    asks(&engine, "s");
    stopped(&engine, "s");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.expect(&["=a=10.0.0.1"]).await;
    assert_eq!(
        rig.carried,
        ["s=shop.example"],
        "before the names of others are told"
    );
}

#[tokio::test]
async fn a_name_is_carried_beyond_the_end_and_until_its_container_is_destroyed() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.run("b", "10.0.0.2");
    asks(&engine, "b");
    engine.event("start", "b");
    rig.expect(&["+b=10.0.0.2"]).await;
    assert_eq!(rig.carried, ["b=shop.example"]);
    stopped(&engine, "b");
    engine.event("die", "b");
    rig.expect(&["-b"]).await;
    // It is looked at once more, and still there.
    engine.saw(&inspect_path("b"), 2).await;
    rig.expect_quiet().await;
    assert_eq!(rig.carried, ["b=shop.example"]);
    engine.end("b");
    engine.event("destroy", "b");
    assert!(!rig.take_one().await);
    assert_eq!(rig.carried, ["b=shop.example", "b="]);
    rig.expect_quiet().await;
}

#[tokio::test]
async fn what_is_carried_is_kept_while_the_engine_is_away_and_its_next_list_counts() {
    let (mut engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    for name in ["s", "t"] {
        engine.run(name, "10.0.0.2");
        asks(&engine, name);
        stopped(&engine, name);
        engine.event("create", name);
    }
    while rig.carried.len() < 2 {
        assert!(!rig.take_one().await);
    }
    engine.crash().await;
    rig.away().await;
    rig.expect_quiet().await;
    engine.end("s");
    engine.start();
    rig.expect(&["=a=10.0.0.1"]).await;
    assert_eq!(rig.carried[2..], ["s="]);
}

#[tokio::test]
async fn a_container_that_is_not_to_be_published_carries_nothing() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    asks(&engine, "a");
    engine.change("a", |it| {
        it["Config"]["Labels"]["skydock.enable"] = json!("false");
    });
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.expect(&["="]).await;
    assert_eq!(rig.carried, [""; 0]);
}

#[tokio::test]
async fn what_a_plugin_may_not_ask_for_is_left_aside_and_complained_of() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("names.js");
    let script =
        r#"function createService(c) { return {Service: "web", Names: "*.com, shop.example, a.onion"} }"#;
    std::fs::write(&file, script).unwrap();
    let defaults = Defaults {
        environment: "dev".to_owned(),
        ttl_seconds: 30,
    };
    let plugins = Plugins::load(vec![file], defaults).unwrap();
    let mut rig = Rig::with(&engine.socket(), TEST_PACE, Some(plugins));
    rig.expect(&["=a=10.0.0.1"]).await;
    assert_eq!(rig.carried, ["a=shop.example"]);
}
