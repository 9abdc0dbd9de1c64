use std::net::IpAddr;

use super::*;
use crate::fixture::{name, on, service};
use crate::plugin::container::{Attached, Binding, Described};
use crate::service::{Compose, NamedPort, Port, Protocol};

fn defaults() -> Defaults {
    Defaults {
        ttl_seconds: 30,
        environment: "dev".to_owned(),
    }
}

fn script(source: &str) -> Script {
    script_called("/p.js", source)
}

fn script_called(file: &str, source: &str) -> Script {
    Script::of(file.into(), source.into(), &defaults()).unwrap_or_else(|error| panic!("{error}"))
}

fn redis() -> Described {
    Described {
        id: "4a21a3b716b565ecfeebf669c15c26ac".into(),
        name: "/redis1".into(),
        image: "crosbymichael/redis:latest".into(),
        hostname: "box".into(),
        env: vec!["A=b".into()],
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        networks: vec![(
            "bridge".into(),
            Attached {
                ipv4: Some("172.17.0.4".parse().unwrap()),
                ..Attached::default()
            },
        )],
        ports: vec![
            ("6379/tcp".into(), vec![]),
            (
                "8080/tcp".into(),
                vec![Binding {
                    host_ip: "0.0.0.0".into(),
                    host_port: "80".into(),
                }],
            ),
        ],
        ..Described::default()
    }
}

/// What the container is without a plugin.
fn built_in() -> Service {
    Service {
        service: "redis".into(),
        instance: "redis1".into(),
        host: "172.17.0.4".into(),
        addresses: vec![on("bridge", "172.17.0.4"), on("back", "10.0.0.4")],
        ..service("e", "redis1")
    }
}

fn made(source: &str) -> Made {
    made_by(&[script(source)])
}

fn made_by(scripts: &[Script]) -> Made {
    ask(
        scripts,
        &redis().seen(&built_in().addresses),
        built_in(),
        &defaults(),
        |_| (),
    )
}

/// The services that a plugin made without any failure.
fn services(source: &str) -> Vec<Service> {
    let made = made(source);
    assert_eq!(made.failed, [], "{source}");
    made.services
}

fn one(source: &str) -> Service {
    let mut services = services(source);
    assert_eq!(services.len(), 1, "{source}");
    services.pop().unwrap()
}

/// The service made of what `createService` returns.
fn returned(expression: &str) -> Service {
    one(&format!(
        "function createService(container) {{ return {expression}; }}"
    ))
}

fn words(service: &Service) -> [&str; 4] {
    [
        &service.service,
        &service.instance,
        &service.environment,
        &service.region,
    ]
}

/// That a plugin fails for a reason that says `expected`, and that the container keeps its built-in names.
fn fails(source: &str, expected: &str) -> PluginError {
    let made = made(source);
    assert_eq!(made.services, [built_in()], "{source}");
    assert_eq!(made.decided_by, None, "{source}");
    let [error] = made.failed.as_slice() else {
        panic!("{source}: {:?}", made.failed);
    };
    let text = error.to_string();
    assert!(
        text.starts_with("plugin /p.js") && text.contains("container redis1 (4a21a3b716b5): "),
        "{text}"
    );
    assert!(text.contains(expected), "{source}: {text}");
    assert!(text.len() < 600, "{} octets", text.len());
    error.clone()
}

/// As [`fails`], of what `createService` returns.
fn refused(expression: &str, expected: &str) {
    fails(
        &format!("function createService(container) {{\n  return {expression};\n}}"),
        expected,
    );
}

// The contract of 2014.

#[test]
fn a_plugin_of_2014_runs_unchanged() {
    let source = r#"
        // Undeclared variables, and helpers that are used in the function alone.
        function createService(container) {
            port = 80;
            for (var key in container.NetworkSettings.Ports) {
                if (container.NetworkSettings.Ports[key] && container.NetworkSettings.Ports[key].length) {
                    port = key.split("/")[0];
                }
            }
            return {
                Port: port,
                Environment: defaultEnvironment,
                TTL: defaultTTL,
                Service: cleanImageName(container.Image),
                Instance: removeSlash(container.Name),
                Host: container.NetworkSettings.IpAddress
            };
        }"#;
    let service = one(source);
    assert_eq!(words(&service), ["redis", "redis1", "dev", "here"]);
    assert_eq!((service.ttl_seconds, &*service.host), (30, "172.17.0.4"));
    assert_eq!(service.wishes.as_ref().unwrap().port, Some(8080));
    // Its own address leaves it the others, for clients on those networks.
    assert_eq!(service.addresses, built_in().addresses);
}

#[test]
fn members_convert_as_they_did() {
    let service = returned("{Service: 12, Instance: true, Environment: 1.5, Port: '8080', TTL: '7.9'}");
    assert_eq!(words(&service), ["12", "true", "1.5", "here"]);
    assert_eq!(service.ttl_seconds, 7);
    assert_eq!(service.wishes.unwrap().port, Some(8080));
    let service = returned("{Port: 80.9, Service: new String('boxed'), TTL: 4294967295}");
    assert_eq!((&*service.service, service.ttl_seconds), ("boxed", 604_800));
    assert_eq!(service.wishes.unwrap().port, Some(80));
    assert_eq!(
        *returned("{Service: {toString: function () { return 'own'; }}}").service,
        *"own"
    );
}

#[test]
fn a_member_that_is_missing_leaves_what_is_there_without_a_plugin() {
    for expression in [
        "{}",
        "{Service: undefined, Instance: null, Environment: '', Region: ' ', Host: '', Port: undefined, TTL: null}",
        "Object.create(null)",
    ] {
        assert_eq!(returned(expression), built_in(), "{expression}");
    }
}

#[test]
fn the_helpers_stand_over_functions_of_their_name_and_convert_their_argument() {
    let source = "function removeSlash() { return 'mine'; }
        function createService(c) { return {Service: removeSlash('/a/b'), Instance: cleanImageName() + removeSlash(7)}; }";
    assert_eq!(words(&one(source))[..2], ["ab", "undefined7"]);
}

#[test]
fn the_helpers_are_there_while_the_file_is_read_too() {
    let source = "var where = defaultEnvironment + '-' + defaultTTL;
        function createService() { return {Environment: where}; }";
    assert_eq!(&*one(source).environment, "dev-30");
}

#[test]
fn a_host_chooses_among_its_addresses_or_gives_another_or_a_name() {
    let own = returned("{Host: '10.0.0.4'}");
    assert_eq!(
        own.addresses,
        [on("back", "10.0.0.4"), on("bridge", "172.17.0.4")]
    );
    let other = returned("{Host: '192.0.2.7'}");
    assert_eq!(other.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap().into()]);
    assert_eq!(&*other.host, "192.0.2.7");
    let alias = returned("{Host: 'db.example.com'}");
    assert_eq!(alias.alias(), Some(&name("db.example.com")));
    for bad in ["'0.0.0.0'", "'ff02::1'", "'a..b'", "'[object Object]'", "{}"] {
        refused(&format!("{{Host: {bad}}}"), "Host");
    }
}

// What is new.

#[test]
fn null_and_an_empty_list_give_no_names_and_undefined_leaves_the_built_in_ones() {
    assert_eq!(services("function createService() { return null; }"), []);
    assert_eq!(services("function createService() { return []; }"), []);
    assert_eq!(services("function createService() {}"), [built_in()]);
}

#[test]
fn a_list_gives_several_services() {
    let source = "function createService(c) {
        return Object.keys(c.NetworkSettings.Ports).map(function (port) {
            return {Service: 'redis-' + parseInt(port), Port: parseInt(port)};
        });
    }";
    let services = services(source);
    let found: Vec<_> = services
        .iter()
        .map(|it| (&*it.service, it.wishes.as_ref().unwrap().port))
        .collect();
    assert_eq!(found, [("redis-6379", Some(6379)), ("redis-8080", Some(8080))]);
}

#[test]
fn only_the_first_of_several_has_the_names_of_its_compose_project() {
    let compose = Compose {
        project: "shop".into(),
        service: "web".into(),
        number: None,
    };
    let built_in = Service {
        compose: Some(compose),
        ..built_in()
    };
    let several = script("function createService() { return [{}, {Service: 'b'}]; }");
    let made = ask(
        [&several],
        &redis().seen(&built_in.addresses),
        built_in,
        &defaults(),
        |_| (),
    );
    let compose: Vec<_> = made.services.iter().map(|it| it.compose.is_some()).collect();
    assert_eq!(compose, [true, false]);
}

#[test]
fn everything_that_a_service_can_ask_for_is_taken() {
    let service = returned(
        "{Region: 'eu', Priority: 5, Weight: '0', Text: ['a', 'b c'], Names: ['shop.example', '*.shop.example'],
          Ports: [{Port: 8080, Name: 'HTTP'}, '53/udp', 9090]}",
    );
    let port = |protocol, number| Port { protocol, number };
    assert_eq!(&*service.region, "eu");
    assert_eq!(
        service.ports,
        [
            port(Protocol::Tcp, 8080),
            port(Protocol::Tcp, 9090),
            port(Protocol::Udp, 53)
        ]
    );
    let wishes = service.wishes.unwrap();
    assert_eq!(
        (wishes.priority, wishes.weight, wishes.port),
        (Some(5), Some(0), Some(8080))
    );
    assert_eq!(wishes.texts, ["a".into(), "b c".into()]);
    assert_eq!(wishes.names, [name("shop.example"), name("*.shop.example")]);
    let named = NamedPort {
        name: "http".into(),
        port: port(Protocol::Tcp, 8080),
    };
    assert_eq!(wishes.named_ports, [named]);
}

#[test]
fn names_may_stand_in_one_text_and_ports_may_be_those_of_the_container() {
    let wishes = returned("{Names: 'a.example, b.example', Text: 'one'}")
        .wishes
        .unwrap();
    assert_eq!(wishes.names, [name("a.example"), name("b.example")]);
    assert_eq!(wishes.texts, ["one".into()]);
    let service = returned("{Ports: container.NetworkSettings.Ports}");
    let numbers: Vec<_> = service.ports.iter().map(|port| port.number).collect();
    assert_eq!(numbers, [6379, 8080]);
    assert_eq!(service.wishes.unwrap().port, Some(6379));
}

#[test]
fn a_script_sees_what_is_new_on_a_container() {
    let service = returned(
        "{Service: container.Labels.team, Instance: container.Hostname + container.Env.A,
          Environment: container.Health, Region: container.Compose === null ? 'alone' : 'project'}",
    );
    assert_eq!(words(&service), ["blue", "boxb", "none", "alone"]);
}

#[test]
fn a_function_may_be_a_constant_and_may_use_todays_javascript() {
    let source = "const createService = ({Labels: {team = 'none'}, ...rest}) => ({Service: `${team}-${rest.Name?.slice(1)}`});";
    assert_eq!(&*one(source).service, "blue-redis1");
}

#[test]
fn a_filter_leaves_containers_out_but_not_by_forgetting_to_say() {
    let filter = |body: &str| {
        services(&format!(
            "function filterContainer(container) {{ {body} }}\nfunction createService() {{ return {{Service: 's'}}; }}"
        ))
        .len()
    };
    assert_eq!(filter("return false;"), 0);
    assert_eq!(filter("return container.Labels.team === 'red';"), 0);
    assert_eq!(filter("return container.Labels.team === 'blue';"), 1);
    assert_eq!(filter(""), 1);
    assert_eq!(
        services("function filterContainer() { return true; }"),
        [built_in()]
    );
}

#[test]
fn names_sees_each_service_and_gives_it_names_of_its_own() {
    let source = "function names(service, container) {
        return [service.Service + '.' + container.Labels.team + '.example'];
    }";
    assert_eq!(one(source).wishes.unwrap().names, [name("redis.blue.example")]);
    let both = "function createService() { return [{Service: 'a'}, {Service: 'b', Names: 'kept.example'}]; }
        function names(service) { return service.Service === 'a' ? 'a.example,c.example' : undefined; }";
    let found: Vec<_> = services(both)
        .into_iter()
        .map(|service| service.wishes.unwrap().names)
        .collect();
    assert_eq!(
        found,
        [
            vec![name("a.example"), name("c.example")],
            vec![name("kept.example")]
        ]
    );
    let none = "function createService() { return {Names: 'a.example'}; } function names() { return null; }";
    assert_eq!(one(none).wishes, None);
}

#[test]
fn variables_of_old_files_that_have_the_names_of_new_functions_are_left_alone() {
    let source = "var names = ['a']; var filterContainer = false; function createService() { return {Service: names[0]}; }";
    assert_eq!(&*one(source).service, "a");
}

// Several files.

#[test]
fn of_several_files_the_first_that_says_something_decides() {
    let says =
        |file: &str, what: &str| script_called(file, &format!("function createService() {{ {what} }}"));
    let (silent, broken) = (says("/silent.js", ""), says("/broken.js", "throw 1;"));
    let (first, second) = (
        says("/first.js", "return {Service: 'first'};"),
        says("/second.js", "return {Service: 'second'};"),
    );
    let null = says("/null.js", "return null;");
    let decided = |scripts: &[&Script]| {
        let made = ask(
            scripts.iter().copied(),
            &redis().seen(&built_in().addresses),
            built_in(),
            &defaults(),
            |_| (),
        );
        let services: Vec<_> = made.services.iter().map(|it| it.service.to_string()).collect();
        (
            made.decided_by.map(|file| file.to_string()),
            services,
            made.failed.len(),
        )
    };
    let by = |file: &str, service: &str, failed| (Some(file.to_owned()), vec![service.to_owned()], failed);
    assert_eq!(decided(&[&silent, &first, &second]), by("/first.js", "first", 0));
    assert_eq!(decided(&[&broken, &second]), by("/second.js", "second", 1));
    assert_eq!(
        decided(&[&null, &second]),
        (Some("/null.js".to_owned()), vec![], 0)
    );
    assert_eq!(decided(&[&first, &broken]), by("/first.js", "first", 0));
    assert_eq!(decided(&[&silent, &broken]), (None, vec!["redis".to_owned()], 1));
    assert_eq!(decided(&[]), (None, vec!["redis".to_owned()], 0));
}

#[test]
fn each_file_adds_to_the_names_that_those_before_it_gave() {
    let adds = |name: &str| {
        script_called(
            &format!("/{name}.js"),
            &format!("function names(service) {{ return service.Names.concat('{name}.example'); }}"),
        )
    };
    let made = made_by(&[
        adds("a"),
        script("function createService() { return {Names: 'x.example'}; }"),
        adds("b"),
    ]);
    let names = &made.services[0].wishes.as_ref().unwrap().names;
    assert_eq!(names, &["x.example", "a.example", "b.example"].map(name));
}

#[test]
fn files_share_nothing() {
    let first = script_called(
        "/a.js",
        "leak = 1; Object.prototype.Service = 'leaked'; function createService() {}",
    );
    let second =
        script("function createService(c) { return {Instance: typeof leak, Region: '' + ({}).Service}; }");
    let made = made_by(&[first, second]);
    assert_eq!(
        words(&made.services[0]),
        ["redis", "undefined", "dev", "undefined"]
    );
}

// Console.

#[test]
fn what_a_script_says_is_kept_with_its_level_and_cut_off_where_it_never_ends() {
    let made = made(
        "function createService() {
            console.log('a', 1, {b: [true]}, undefined, null);
            console.warn('line\\nbreak \\u001b[31m');
            console.error(new TypeError('bad'));
            var cycle = {}; cycle.self = cycle; console.debug(cycle, Symbol('s'));
            console.info('x'.repeat(1e6));
        }",
    );
    assert_eq!(made.failed, []);
    let said: Vec<_> = made
        .said
        .iter()
        .map(|(_, said)| (said.level, said.text.as_str()))
        .collect();
    assert_eq!(
        said[0],
        (super::super::Level::Info, "a 1 {\"b\":[true]} undefined null")
    );
    assert_eq!(said[1], (super::super::Level::Warn, "line\\nbreak \\u{1b}[31m"));
    assert_eq!(said[2], (super::super::Level::Error, "TypeError: bad"));
    assert_eq!(said[3].0, super::super::Level::Debug);
    assert_eq!(said[4].1.len(), 1003);

    let flood = self::made("function createService() { for (var i = 0; i < 1000; i++) console.log(i); }");
    let last = &flood.said.last().unwrap().1;
    assert_eq!(
        (flood.said.len(), last.text.as_str()),
        (33, "968 more lines are left out")
    );
}

// What could hurt.

#[test]
fn an_endless_loop_ends_by_time() {
    let error = fails(
        "function createService() {\n  for (;;) {}\n}",
        "it ran longer than 50 ms",
    );
    assert!(error.fault == Fault::Time && error.place.is_some(), "{error}");
    fails(
        "function createService() { while (true) { try { for (;;) {} } catch (e) {} finally { continue; } } }",
        "50 ms",
    );
    fails("function filterContainer() { for (;;) {} }", "50 ms");
}

#[test]
fn a_loop_inside_javascript_ends_by_a_limit_too() {
    for body in [
        "/(a+)+$/.test('a'.repeat(64) + 'b')",
        "/(?:a*)*b/.test('a'.repeat(30000))",
        "[].indexOf.call({length: 9007199254740991}, 1)",
        "[].lastIndexOf.call({length: 9007199254740991}, 1)",
        "[].forEach.call({length: 9007199254740991}, function () {})",
        "var a = []; a.length = 4294967295; a.includes(1)",
        "Array.from({length: 4294967295}).length",
    ] {
        let error = made(&format!("function createService() {{ {body}; return {{}}; }}"))
            .failed
            .pop();
        let fault = error.map(|error| error.fault);
        assert!(fault.as_ref().is_some_and(Fault::is_limit), "{body}: {fault:?}");
    }
}

#[test]
fn endless_recursion_ends_by_the_stack() {
    let error = fails(
        "function f() { return f() + 1; }\nfunction createService() { return f(); }",
        "KiB of stack",
    );
    assert_eq!(error.place.map(|(line, _)| line), Some(1));
    fails(
        "function createService(c) { return JSON.parse('['.repeat(1e6)); }",
        "KiB of stack",
    );
    fails(
        "function createService(c) { return eval('('.repeat(1e5)); }",
        "KiB of stack",
    );
    fails(
        "function createService() { return {get Service() { return createService().Service; }}; }",
        "KiB of stack",
    );
}

#[test]
fn a_memory_bomb_ends_by_the_limit() {
    for body in [
        "return {Service: 'x'.repeat(1 << 28)};",
        "return Array(1e8).fill(1);",
        "return new ArrayBuffer(1 << 30);",
        "var a = []; for (;;) a.push(new Uint8Array(1 << 20));",
    ] {
        fails(
            &format!("function createService() {{ {body} }}"),
            "32 MiB of memory",
        );
    }
    fails(
        "function createService() { var s = 'x'; for (;;) s += s; }",
        "string too long",
    );
    // Caught, it is as if nothing had been.
    assert_eq!(
        &*returned(
            "(function () { try { 'x'.repeat(1 << 28); } catch (e) { return {Service: 'caught'}; } })()"
        )
        .service,
        "caught"
    );
}

#[test]
fn what_a_script_throws_is_shown_with_its_line() {
    let error = fails(
        "function createService(c) {\n\n  return c.nothing.here;\n}",
        "TypeError: cannot read property 'here' of undefined",
    );
    assert_eq!(error.place.map(|(line, _)| line), Some(3));
    fails("function createService() { throw 'a text'; }", "it threw a text");
    fails("function createService() { throw null; }", "it threw null");
    fails(
        "function createService() { throw new Error('a\\nb'); }",
        "Error: a\\nb",
    );
    fails(
        "function createService() { throw {toString: function () { throw 1; }}; }",
        "what cannot be shown",
    );
    fails(
        "function createService() { throw new Error('x'.repeat(1e6)); }",
        "...",
    );
    fails(
        "function createService() { var e = new Error('m'); Object.defineProperty(e, 'stack', {get: function () { throw 1; }}); throw e; }",
        "Error: m",
    );
    fails(
        "function createService() { var e = new Error(); Object.defineProperty(e, 'name', {get: function () { for (;;) {} }}); throw e; }",
        "",
    );
    fails(
        "function createService() { throw new Proxy(new Error('p'), {get: function () { throw 1; }}); }",
        "",
    );
}

#[test]
fn what_is_no_service_is_refused() {
    for (value, expected) in [
        ("7", "createService gave 7"),
        ("'redis'", "createService gave \"redis\""),
        ("true", "createService gave true"),
        ("Symbol('s')", "createService gave symbol"),
        ("10n", "createService gave big"),
        ("function () {}", "createService gave a function"),
        ("[[{}]]", "createService gave a list"),
        ("[null]", "createService gave null"),
        ("[{}, undefined]", "createService gave undefined"),
        ("Promise.resolve({})", "createService gave a Promise"),
        (
            "(async function () { return {}; })()",
            "async functions are of no use",
        ),
        ("new Proxy({}, {})", "createService gave a Proxy"),
        ("[new Proxy({}, {})]", "createService gave a Proxy"),
        (
            "new Proxy([], {get: function () { for (;;) {} }})",
            "createService gave a Proxy",
        ),
        ("Array(65).fill({})", "longer than 64"),
        ("Array(4294967295)", "longer than 64"),
    ] {
        refused(value, expected);
    }
}

#[test]
fn members_that_make_no_sense_are_refused() {
    for (member, expected) in [
        ("Port: NaN", "Port NaN: give a number from 1 to 65535"),
        ("Port: -1", "Port -1: give"),
        ("Port: 0", "Port 0: give"),
        ("Port: 65536", "Port 65536: give"),
        ("Port: Infinity", "Port inf: give"),
        ("Port: 1e300", "Port "),
        ("Port: 'http'", "Port \"http\": give"),
        ("Port: {}", "Port NaN: give"),
        ("Port: 10n", ""),
        ("Port: Symbol()", ""),
        ("TTL: -5", "TTL -5: give"),
        ("TTL: NaN", "TTL NaN: give"),
        ("Priority: 65536", "Priority 65536: give a number from 0 to 65535"),
        ("Weight: -0.5e9", "Weight -500000000: give"),
        ("Service: {}", "Service an object: give a text"),
        ("Service: ['a']", "Service a list: give a text"),
        ("Service: function () {}", "Service a function: give a text"),
        (
            "Service: Promise.resolve('a')",
            "Service a Promise: answer at once",
        ),
        ("Service: Symbol('s')", "symbol"),
        ("Service: 'x'.repeat(1 << 20)", "at most 63 octets"),
        ("Service: '*'", "every one"),
        ("Instance: 'ANY'", "every one"),
        ("Service: '\\ud800'", "half a surrogate pair"),
        ("Host: 'x'.repeat(1 << 20)", "at most 255 octets"),
        ("Names: 'x'.repeat(1 << 20)", "at most 255 octets"),
        ("Names: ['a..b']", "Names \"a..b\": "),
        ("Names: '*'", "root"),
        ("Names: {}", "Names an object: "),
        ("Names: [['a']]", "Names a list: "),
        ("Names: Array(65).fill('a.b')", "longer than 64"),
        ("Names: 'a.b,'.repeat(65)", "longer than 64"),
        ("Text: 'x'.repeat(5000)", "at most 4096"),
        ("Text: Array(17).fill('a')", "longer than 16"),
        ("Ports: Array(1e6).fill(80)", "longer than 64"),
        (
            "Ports: Object.fromEntries(Array(1000).fill(0).map(function (_, i) { return [i + 1, 0]; }))",
            "longer than 64",
        ),
        ("Ports: [0]", "Ports \"0\": "),
        ("Ports: ['80/ipx']", "Ports \"80/ipx\": "),
        ("Ports: [null]", "Ports \"\": "),
        ("Ports: [{}]", "Ports \"\": "),
        ("Ports: 80", "Ports 80: give a list"),
        ("Ports: [{Port: 80, Name: 'a_b'}]", "Ports[].Name \"a_b\": "),
        ("Ports: new Proxy([], {})", "Ports a Proxy: "),
        ("get Service() { throw new Error('got'); }", "Error: got"),
        ("get Port() { for (;;) {} }", "50 ms"),
        ("Service: {toString: function () { for (;;) {} }}", "50 ms"),
        (
            "Port: {valueOf: function () { throw new RangeError('no'); }}",
            "RangeError: no",
        ),
    ] {
        refused(&format!("{{{member}}}"), expected);
    }
}

#[test]
fn an_object_that_holds_itself_does_no_harm() {
    let source = "function createService() { var o = {Service: 'a'}; o.self = o; o.list = [o]; return o; }";
    assert_eq!(&*one(source).service, "a");
    fails(
        "function createService() { var o = {}; o.Service = o; return o; }",
        "Service an object",
    );
    fails(
        "function createService() { var a = []; a.push(a); return a; }",
        "createService gave a list",
    );
}

#[test]
fn tricks_with_prototypes_change_nothing_for_the_next_container() {
    let tricks = script(
        "Object.prototype.Port = -1; Array.prototype.map = null; String.prototype.split = function () { throw 1; };
         JSON.parse = JSON.stringify = Object.keys = function () { throw 1; };
         delete globalThis.Object;
         function createService(c) { c.constructor.constructor('count = 1')(); return {Service: 'first'}; }",
    );
    let plain =
        script("function createService() { return {Service: typeof count, Instance: typeof Object.keys}; }");
    for _ in 0..3 {
        let made = made_by(std::slice::from_ref(&tricks));
        assert_eq!(
            made.failed.len(),
            1,
            "the port that it put on every object is refused"
        );
        let made = made_by(std::slice::from_ref(&plain));
        assert_eq!(words(&made.services[0])[..2], ["undefined", "function"]);
    }
    let proto = "{__proto__: {get Service() { return 'inherited'; }}}";
    assert_eq!(&*returned(proto).service, "inherited");
}

#[test]
fn what_one_container_leaves_behind_the_next_does_not_find() {
    let counting = script("var n = 0; function createService() { n++; return {Service: 's' + n}; }");
    for _ in 0..2 {
        assert_eq!(
            &*made_by(std::slice::from_ref(&counting)).services[0].service,
            "s1"
        );
    }
}

#[test]
fn a_container_is_anew_for_each_function() {
    let source = "function filterContainer(c) { c.Name = '/changed'; c.Labels = null; return true; }
        function createService(c) { return {Instance: removeSlash(c.Name) + c.Labels.team}; }";
    assert_eq!(&*one(source).instance, "redis1blue");
}

#[test]
fn there_is_no_way_out_to_files_network_processes_or_modules() {
    let source = "function createService() {
        var reachable = ['require', 'process', 'std', 'os', 'fetch', 'XMLHttpRequest', 'WebSocket', 'Deno', 'Bun', 'load',
            'print', 'read', 'setTimeout', 'Worker', 'scriptArgs', 'module', 'exports', 'importScripts']
            .filter(function (name) { return typeof globalThis[name] !== 'undefined'; });
        return {Service: 'found-' + reachable.join('-')};
    }";
    assert_eq!(&*one(source).service, "found-");
    fails(
        "function createService() { return eval(\"import('fs')\"); }",
        "a Promise",
    );
    let waits = "function createService() { Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0); }";
    fails(waits, "TypeError");
}

#[test]
fn a_container_that_is_described_at_length_keeps_its_built_in_names() {
    let described = Described {
        env: vec!["x".repeat(CONTAINER_OCTETS_MAX)],
        ..redis()
    };
    let any = script("function createService() { return {Service: 'a'}; }");
    let made = ask([&any], &described.seen(&[]), built_in(), &defaults(), |_| ());
    assert_eq!(made.services, [built_in()]);
    assert!(
        made.failed[0].to_string().contains("1048576 octets"),
        "{:?}",
        made.failed
    );
}

#[test]
fn a_job_that_a_script_leaves_behind_never_runs() {
    let source = "function createService() {
        Promise.resolve().then(function () { for (;;) {} });
        return {Service: 'a'};
    }";
    assert_eq!(&*one(source).service, "a");
}

#[test]
fn what_a_hook_says_that_makes_no_sense_is_refused() {
    fails("function names() { return {}; }", "names gave an object");
    fails(
        "function names() { return Promise.resolve([]); }",
        "names gave a Promise",
    );
    fails("function names() { for (;;) {} }", "50 ms");
    fails(
        "function filterContainer() { return Promise.resolve(true); }",
        "filterContainer gave a Promise",
    );
    fails(
        "function filterContainer() { return new Proxy({}, {}); }",
        "filterContainer gave a Proxy",
    );
}
