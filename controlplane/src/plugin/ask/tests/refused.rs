//! What makes no sense is refused with the reason, and the container keeps its built-in names.

use super::*;

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
