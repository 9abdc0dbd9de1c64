//! Why a name is answered as it is, as the running daemon tells it.

mod support;

use serde_json::Value;
use support::container::Container;
use support::daemon::Daemon;
use support::http::request;
use support::{SOON, engine, eventually, unique};

/// What the daemon says of a question.
fn explain(daemon: &Daemon, question: &str) -> Value {
    let reply = request(daemon.http(), &format!("GET /v1/explain?{question}"), &[], "");
    assert_eq!(reply.status, 200, "{question}: {}", reply.body);
    reply.json()
}

#[test]
fn a_registered_service_and_a_name_that_is_not_ours_are_explained() {
    let daemon = Daemon::start(
        "--docker /nonexistent/docker.sock --nameserver 192.0.2.1 --forward corp.example=192.0.2.2",
    );
    let body =
        r#"{"Name":"web","Version":"web1","Environment":"dev","Host":"10.0.0.7","Port":8080,"TTL":60}"#;
    assert_eq!(
        request(daemon.http(), "PUT /skydns/services/c3085e93e4", &[], body).status,
        201
    );

    let web = explain(&daemon, "name=web.dev.docker&type=srv&from=10.9.9.9");
    assert_eq!(web["way"], "name");
    assert_eq!(web["zone"], "docker.");
    assert_eq!(web["reply"]["rcode"], "NOERROR");
    let answer = web["reply"]["answers"][0].as_str().unwrap();
    assert!(answer.contains("SRV") && answer.contains("8080"), "{answer}");
    let candidate = &web["candidates"][0];
    assert_eq!(
        (&candidate["instance"], &candidate["answers"]),
        (&"web1".into(), &true.into())
    );
    assert_eq!(candidate["source"], "rest");

    let absent = explain(&daemon, "name=nobody.docker");
    assert_eq!(
        (&absent["way"], &absent["reply"]["rcode"]),
        (&"nobody".into(), &"NXDOMAIN".into())
    );
    let refused = explain(&daemon, "name=web.dev.docker&from=8.8.8.8");
    assert_eq!(refused["reply"]["rcode"], "REFUSED");
    assert!(refused["reply"]["reasons"][0].as_str().is_some(), "{refused}");
    let foreign = explain(&daemon, "name=www.example.net");
    assert_eq!(foreign["reply"]["forwarded_to"][0], "192.0.2.1:53");
    assert_eq!(foreign["reply"]["forwarded_for"], ".");
    let body =
        r#"{"Name":"db","Version":"db1","Environment":"dev","Host":"db.corp.example","Port":5432,"TTL":60}"#;
    assert_eq!(
        request(daemon.http(), "PUT /skydns/services/d4196fa4f5", &[], body).status,
        201
    );
    let alias = explain(&daemon, "name=db1.docker");
    let reply = &alias["reply"];
    assert_eq!(reply["rcode"], "NOERROR", "{alias}");
    assert!(
        reply["answers"][0]
            .as_str()
            .is_some_and(|it| it.contains("CNAME")),
        "{alias}"
    );
    assert_eq!(
        (&reply["forwarded_to"][0], &reply["forwarded_for"]),
        (&"192.0.2.2:53".into(), &"corp.example.".into())
    );

    for (question, field) in [
        ("", "name"),
        ("name=a..b", "name"),
        ("name=a&type=NOSUCH", "type"),
        ("name=a&from=nowhere", "from"),
        ("name=a&colour=red", "colour"),
    ] {
        let reply = request(daemon.http(), &format!("GET /v1/explain?{question}"), &[], "");
        assert_eq!(reply.status, 400, "{question}");
        assert!(reply.body.contains(field), "{question}: {}", reply.body);
    }
}

#[test]
fn a_container_that_does_not_answer_is_named_with_the_reason() {
    let Some(engine) = engine::shared() else { return };
    let daemon = Daemon::for_engine(&engine, "");
    let image = unique("explained");
    engine.tag(&image);
    let container = Container::run_image(&engine, &unique("gone"), &image, &[]);
    let name = format!("{}.docker", container.name());
    daemon.await_answers(&format!("{name} A"), &[&container.address().to_string()]);
    let running = explain(&daemon, &format!("name={name}"));
    assert_eq!(running["candidates"][0]["answers"], true, "{running}");
    assert_eq!(running["unpublished"], Value::Array(vec![]));

    container.docker("stop -t 0");
    eventually("it is explained as stopped", SOON, || {
        let stopped = explain(&daemon, &format!("name={name}"));
        let why = &stopped["unpublished"][0];
        match (why["container"].as_str(), why["standing"].as_str()) {
            (Some(of), Some("stopped")) if of == container.name() => Ok(()),
            _ => Err(format!("{stopped}")),
        }
    });
    let by_image = explain(&daemon, &format!("name={image}.dev.docker"));
    assert_eq!(by_image["unpublished"][0]["why"], "it does not run");
}
