// Names from Traefik's rules: a container is also called what the rules of its routers match.
//
//     traefik.http.routers.shop.rule=Host(`shop.example`) || Host(`www.shop.example`, `shop.test`)
//     traefik.tcp.routers.db.rule=HostSNI(`db.example`)
//     traefik.frontend.rule=Host:shop.example,www.shop.example          (Traefik 1)
//
// The names lead to the container itself. Where clients shall go through Traefik instead, give Traefik's container the
// names: list them in its label skydock.name, and leave this plugin out.
//
// What a container is called otherwise is for other plugins, or the built-in naming, to say.

/// <reference path="skydock.d.ts" />

function names(service, container) {
    if (container.Labels["traefik.enable"] === "false") {
        return undefined;
    }
    var found = service.Names.slice();
    Object.keys(container.Labels).forEach(function (label) {
        var rule = container.Labels[label];
        var hosts = [];
        if (/^traefik\.(http|tcp)\.routers\.[^.]+\.rule$/.test(label)) {
            hosts = matched(rule);
        } else if (/^traefik\.([^.]+\.)?frontend\.rule$/.test(label)) {
            hosts = matchedByTraefik1(rule);
        }
        hosts.forEach(function (host) {
            // A catch-all, and what only Traefik can compare, is no name.
            if (/^(\*\.)?[a-z0-9_.-]+$/i.test(host) && found.indexOf(host) < 0) {
                found.push(host);
            }
        });
    });
    return found;
}

// Every name in Host(...), HostHeader(...) and HostSNI(...), unless a `!` stands before it.
function matched(rule) {
    var hosts = [];
    var matcher = /(!?)\s*\b(?:Host|HostHeader|HostSNI)\s*\(([^)]*)\)/g;
    for (var match; (match = matcher.exec(rule)); ) {
        var quoted = match[1] ? null : match[2].match(/[`"'][^`"']+[`"']/g);
        (quoted || []).forEach(function (text) {
            hosts.push(text.slice(1, -1));
        });
    }
    return hosts;
}

// Host:a,b;PathPrefix:/x
function matchedByTraefik1(rule) {
    var hosts = [];
    rule.split(";").forEach(function (part) {
        var match = /^\s*Host\s*:(.*)$/.exec(part);
        if (match) {
            hosts = hosts.concat(match[1].split(",").map(function (host) { return host.trim(); }));
        }
    });
    return hosts;
}
