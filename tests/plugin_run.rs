//! `skydock plugin run` on what `docker inspect` wrote.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use support::daemon::{binary, run};

const INSPECT: &str = r#"[
    {"Id": "4a21a3b716b565ecfeebf669c15c26ac", "Name": "/redis1", "State": {"Running": true},
     "Config": {"Image": "crosbymichael/redis:7", "Labels": {"team": "blue"}},
     "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.4"}}}},
    {"Id": "5b21", "Name": "/off", "State": {"Running": false}}
]"#;

/// A directory with a plugin and a file of containers.
struct Files(tempfile::TempDir);

impl Files {
    fn with(plugin: &str) -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        std::fs::write(files.path("p.js"), plugin).expect("it is written");
        std::fs::write(files.path("inspect.json"), INSPECT).expect("it is written");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, rest: &str) -> (Option<i32>, String, String) {
        let (plugin, inspect) = (self.path("p.js"), self.path("inspect.json"));
        run(&format!(
            "plugin run {} {} {rest}",
            plugin.display(),
            inspect.display()
        ))
    }
}

#[test]
fn names_and_what_the_plugin_said_are_shown() {
    let files = Files::with(
        "function createService(c) { console.log('team', c.Labels.team); return {Service: c.Labels.team, Port: 6379}; }",
    );
    let (code, out, error) = files.run("--domain corp --environment prod");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    for expected in [
        "redis1 (4a21a3b716b5)\n",
        "  info  team blue\n",
        "  + redis1.blue.prod.corp\n",
        "    redis1.corp\n",
        "      addresses 172.17.0.4\n",
        "      port      6379\n",
        "off (5b21)\n  no names, and plugins are not asked: it does not run\n",
    ] {
        assert!(out.contains(expected), "{expected:?} is not in {out}");
    }
}

#[test]
fn json_has_the_same_for_programs() {
    let files = Files::with("function createService(c) { return [{Service: 'a'}, {Service: 'b'}]; }");
    let (code, out, _) = files.run("--json");
    assert_eq!(code, Some(0));
    let all: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(all[0]["container"]["name"], "redis1");
    assert_eq!(all[0]["services"][1]["service"], "b");
    assert_eq!(all[0]["services"][1]["names"][0], "redis1.b.dev.docker");
    assert_eq!(all[1]["reason"], "it does not run");
}

#[test]
fn a_plugin_that_fails_is_shown_with_its_line_and_exit_code_1() {
    let files = Files::with("function createService(c) {\n  return c.nothing.here;\n}");
    let (code, out, _) = files.run("");
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("p.js:2:") && out.contains("FAILED plugin"), "{out}");
    assert!(out.contains("  + redis1.redis.dev.docker\n"), "{out}");
    let all: serde_json::Value = serde_json::from_str(&files.run("--json").1).expect("it is JSON");
    assert_eq!(all[0]["failed"][0]["line"], 2);
}

#[test]
fn what_is_no_plugin_or_no_container_is_exit_code_2() {
    let files = Files::with("function createService( {");
    let (code, _, error) = files.run("");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("p.js:1:") && error.contains("SyntaxError"),
        "{error}"
    );

    let files = Files::with("function createService() {}");
    std::fs::write(files.path("inspect.json"), "no JSON").expect("it is written");
    let (code, _, error) = files.run("");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("inspect.json is not what `docker inspect` prints"),
        "{error}"
    );
    let (code, _, error) = run(&format!(
        "plugin run {} /nowhere.json",
        files.path("p.js").display()
    ));
    assert_eq!(code, Some(2));
    assert!(error.contains("/nowhere.json cannot be read"), "{error}");
}

#[test]
fn containers_may_come_from_standard_input_and_plugins_are_asked_in_order() {
    let files = Files::with("function createService() {}");
    std::fs::write(files.path("q.js"), "function createService() { return null; }").expect("it is written");
    let list = format!(
        "{},{}",
        files.path("p.js").display(),
        files.path("q.js").display()
    );
    let mut child = binary()
        .args(["plugin", "run", &list, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(INSPECT.as_bytes()).expect("it is read");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert!(out.contains("q.js\n  no names\n"), "{out}");
}
