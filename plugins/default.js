// What skydock's own default plugin did, written anew.
//
//     <container>.<image>.<environment>.<domain>
//
// Those are the built-in names, too. Begin a plugin of your own with a copy of this one.
//
// One thing is different: the port is the container's. skydock paired the port that the host publishes with the
// address of the container, where nobody listens on it.

/// <reference path="skydock.d.ts" />

function createService(container) {
    return {
        Service: cleanImageName(container.Image),
        Instance: removeSlash(container.Name),
        Environment: defaultEnvironment,
        TTL: defaultTTL,
        Host: container.NetworkSettings.IpAddress,
        Port: port(container.NetworkSettings.Ports)
    };
}

// The lowest port that is published, else the lowest that is exposed, else 80.
function port(ports) {
    var published, exposed;
    for (var key in ports) {
        var number = parseInt(key, 10);
        if (ports[key] && ports[key].length) {
            published = published ? Math.min(published, number) : number;
        } else {
            exposed = exposed ? Math.min(exposed, number) : number;
        }
    }
    return published || exposed || 80;
}
