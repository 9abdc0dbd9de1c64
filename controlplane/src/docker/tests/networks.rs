//! What the pipeline is told of the engine's networks.

use super::*;

impl Rig {
    /// Takes changes in, none of them about containers, until the pipeline knows of these networks.
    async fn until_networks(&mut self, expected: &[&str]) {
        let names = |rig: &Self| {
            rig.networks
                .iter()
                .map(|it| it.name.to_string())
                .collect::<Vec<_>>()
        };
        while names(self) != expected {
            assert!(!self.take_one().await, "told {:?}", self.told);
        }
    }
}

fn network_event(action: &str) -> String {
    format!("{{\"Type\":\"network\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"n1\"}}}}\n")
}

#[tokio::test]
async fn networks_are_told_before_the_containers_on_them_and_when_one_comes() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    engine.run("a", "10.0.0.1");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    assert!(!rig.take_one().await, "containers came first");
    rig.until_networks(&["bridge"]).await;
    rig.until("a=10.0.0.1").await;
    engine.subscribed().await;
    engine.network("shop", &["10.1.0.0/24", "fd00:1::/64"]);
    engine.octets(network_event("create").as_bytes());
    rig.until_networks(&["bridge", "shop"]).await;
    // An event after which everything is as it was tells nothing.
    engine.octets(network_event("destroy").as_bytes());
    engine.saw("/networks", 3).await;
    rig.expect_quiet().await;
}

#[tokio::test]
async fn an_engine_that_does_not_list_its_networks_costs_no_container_its_names() {
    for reply in [Reply::Status(403), Reply::Hang] {
        let mut engine = FakeEngine::new();
        engine.start();
        engine.run("a", "10.0.0.1");
        engine.script("/networks", reply);
        let mut rig = Rig::start(&engine.socket(), TEST_PACE);
        rig.until("a=10.0.0.1").await;
        rig.connected(1).await;
        engine.subscribed().await;
        engine.network("shop", &["10.1.0.0/24"]);
        engine.octets(network_event("create").as_bytes());
        rig.until_networks(&["shop"]).await;
    }
}

#[tokio::test]
async fn a_network_that_no_event_told_of_is_asked_for_once_a_container_is_on_it() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    engine.run("a", "10.0.0.1");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.until_networks(&["bridge"]).await;
    rig.until("a=10.0.0.1").await;
    engine.subscribed().await;
    engine.network("shop", &["10.1.0.0/24"]);
    engine.run("b", "10.1.0.2");
    engine.change("b", |it| {
        it["NetworkSettings"]["Networks"] = serde_json::json!({"shop": {"IPAddress": "10.1.0.2"}});
    });
    engine.event("start", "b");
    while rig.networks.len() < 2 {
        rig.take_one().await;
    }
    let lists = engine.count("/networks");
    engine.event("update", "b");
    engine.saw(&inspect_path("b"), 2).await;
    rig.expect_quiet().await;
    assert_eq!(engine.count("/networks"), lists, "it is known now");
}
