// The labels com.dnsdock.* and the older variables DNSDOCK_* that dnsdock reads.
//
//     com.dnsdock.name=master       instance
//     com.dnsdock.image=mysql       service
//     com.dnsdock.alias=db.docker,sql.docker
//     com.dnsdock.region=us2        environment, which is where dnsdock puts it: master.mysql.us2.docker
//     com.dnsdock.tags=master       with a region: the instance, where com.dnsdock.name is then the service
//     com.dnsdock.ttl=10
//     com.dnsdock.ip_addr=192.0.2.7
//     com.dnsdock.ignore            no names at all
//
// Our names have the environment between service and domain: master.mysql.dev.docker where dnsdock has
// master.mysql.docker. Give the old name as an alias where something asks for it. Containers without any of these keep
// their built-in names.

/// <reference path="skydock.d.ts" />

var VARIABLES = {
    name: "DNSDOCK_NAME",
    image: "DNSDOCK_IMAGE",
    alias: "DNSDOCK_ALIAS",
    ttl: "DNSDOCK_TTL",
    region: "DNSDOCK_REGION",
    tags: "DNSDOCK_TAGS",
    ip_addr: "DNSDOCK_IPADDRESS",
    ignore: "DNSDOCK_IGNORE"
};

function createService(container) {
    var told = {};
    Object.keys(VARIABLES).forEach(function (key) {
        var label = container.Labels["com.dnsdock." + key];
        var value = label !== undefined ? label : container.Env[VARIABLES[key]];
        if (value !== undefined) {
            told[key] = value;
        }
    });
    if (Object.keys(told).length === 0) {
        return undefined;
    }
    if (told.ignore !== undefined && told.ignore !== "false" && told.ignore !== "0") {
        return null;
    }
    var hasTags = told.tags !== undefined && told.region !== undefined;
    return {
        Service: hasTags ? told.name : told.image,
        Instance: hasTags ? told.tags.split(",")[0] : told.name,
        Environment: told.region,
        Names: told.alias,
        TTL: told.ttl,
        Host: told.ip_addr
    };
}
