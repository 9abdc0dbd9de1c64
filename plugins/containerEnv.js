// Names from the container's environment, as skydock's second plugin had them, written anew.
//
//     docker run -e DNS_SERVICE=cache -e DNS_INSTANCE=one -e DNS_ENVIRONMENT=prod -e DNS_TTL=5 redis
//
// A variable that is not set leaves what the container is called without it. A value may hold a `=`, which skydock
// cut it at.

/// <reference path="skydock.d.ts" />

function createService(container) {
    var dns = {};
    container.Config.Env.forEach(function (variable) {
        var at = variable.indexOf("=");
        if (variable.indexOf("DNS_") === 0 && at > 0) {
            dns[variable.slice(4, at)] = variable.slice(at + 1);
        }
    });
    return {
        Service: dns.SERVICE || cleanImageName(container.Image),
        Instance: dns.INSTANCE || removeSlash(container.Name),
        Environment: dns.ENVIRONMENT || defaultEnvironment,
        TTL: dns.TTL || defaultTTL,
        Host: container.NetworkSettings.IpAddress,
        Port: 80
    };
}
