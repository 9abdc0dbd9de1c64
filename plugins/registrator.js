// The SERVICE_* variables and labels that registrator reads, as with its flag -internal: every port that a container
// exposes or publishes is a service, at the container's own address and port.
//
//     SERVICE_NAME=db           name of the service; with several ports `db-<port>` each
//     SERVICE_80_NAME=http      name of the service on port 80
//     SERVICE_TAGS=a,b          TXT records `tag=a` and `tag=b`
//     SERVICE_REGION=us2        any other name: a TXT record `region=us2`; SERVICE_80_x for one port alone
//     SERVICE_IGNORE=true       no names at all; SERVICE_80_IGNORE: none for that port
//
// A label beats a variable of the same name. Containers without any of these, and those without ports, keep their
// built-in names.

/// <reference path="skydock.d.ts" />

function createService(container) {
    var settings = collect(container);
    if (settings === null) {
        return undefined;
    }
    if (isSet(settings.all.IGNORE)) {
        return null;
    }
    var ports = Object.keys(container.NetworkSettings.Ports);
    if (ports.length === 0) {
        return settings.all.NAME ? { Service: settings.all.NAME, Text: texts(settings.all, "tcp") } : undefined;
    }
    return ports
        .map(function (key) {
            return service(container, settings, key, ports.length > 1);
        })
        .filter(Boolean);
}

function service(container, settings, key, isOneOfSeveral) {
    var port = parseInt(key, 10);
    var protocol = key.split("/")[1] || "tcp";
    var own = settings.ports[port] || {};
    if (isSet(own.IGNORE)) {
        return null;
    }
    var name = own.NAME;
    if (!name) {
        name = settings.all.NAME || cleanImageName(container.Image);
        if (isOneOfSeveral) {
            name += "-" + port;
        }
    }
    return {
        Service: name,
        Port: port,
        Ports: [key],
        Text: texts(Object.assign({}, settings.all, own), protocol)
    };
}

// SERVICE_x of all ports, and SERVICE_<port>_x of each; null where there is none.
function collect(container) {
    var found = false;
    var settings = { all: {}, ports: {} };
    [container.Env, container.Labels].forEach(function (source) {
        Object.keys(source).forEach(function (key) {
            var match = /^SERVICE_(?:(\d+)_)?(.+)$/.exec(key);
            if (match) {
                found = true;
                var of = match[1] ? (settings.ports[match[1]] = settings.ports[match[1]] || {}) : settings.all;
                of[match[2].toUpperCase()] = source[key];
            }
        });
    });
    return found ? settings : null;
}

function texts(settings, protocol) {
    var texts = [];
    Object.keys(settings)
        .sort()
        .forEach(function (key) {
            if (key === "TAGS") {
                tags(settings.TAGS).forEach(function (tag) {
                    texts.push("tag=" + tag);
                });
            } else if (key !== "NAME" && key !== "ID" && key !== "IGNORE") {
                texts.push(key.toLowerCase() + "=" + settings[key]);
            }
        });
    if (protocol === "udp") {
        texts.push("tag=udp");
    }
    // As many as one service may have.
    return texts.slice(0, 16);
}

// A comma behind a backslash is part of a tag.
function tags(list) {
    return (list.match(/(?:\\.|[^,\\])+/g) || []).map(function (tag) {
        return tag.replace(/\\(.)/g, "$1").trim();
    });
}

function isSet(value) {
    return value !== undefined && value !== "" && value !== "false" && value !== "0";
}
