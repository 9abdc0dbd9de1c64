// A Compose project is an environment of its own.
//
//     web.shop.docker           every container of the service web of the project shop
//     web-2.web.shop.docker     the second of them
//     shop.docker               everything in the project
//
// Containers of no project keep their built-in names.

/// <reference path="skydock.d.ts" />

function createService(container) {
    var compose = container.Compose;
    if (!compose) {
        return undefined;
    }
    return {
        Service: compose.Service,
        Environment: compose.Project,
        Instance: compose.Number ? compose.Service + "-" + compose.Number : removeSlash(container.Name)
    };
}
