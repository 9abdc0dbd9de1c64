//! What a script could do to its host, to other scripts, and to the next container.

use super::*;

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
fn a_job_that_a_script_leaves_behind_never_runs() {
    let source = "function createService() {
        Promise.resolve().then(function () { for (;;) {} });
        return {Service: 'a'};
    }";
    assert_eq!(&*one(source).service, "a");
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
