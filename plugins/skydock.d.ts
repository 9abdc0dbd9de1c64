// What a skydock plugin finds and gives, for editors. Put
//
//     /// <reference path="skydock.d.ts" />
//
// at the top of a plugin, and `// @ts-check` above it to have it checked. docs/plugins.md explains all of it.

/** Seconds that records live where a service does not say, `--ttl`. */
declare var defaultTTL: number;

/** Environment label where a service does not say, `--environment`. */
declare var defaultEnvironment: string;

/** Image name without registry, repository, tag and digest: `crosbymichael/redis:7` is `redis`. */
declare function cleanImageName(image: string): string;

/** `text` without any slash: `/redis1` is `redis1`. */
declare function removeSlash(text: string): string;

/** Goes to skydock's log, with the plugin's name; at most 32 lines for a container. */
declare var console: {
    debug(...words: unknown[]): void;
    trace(...words: unknown[]): void;
    log(...words: unknown[]): void;
    info(...words: unknown[]): void;
    warn(...words: unknown[]): void;
    error(...words: unknown[]): void;
};

/** A running container. What the engine did not tell is an empty text, list or object. */
interface Container {
    /** Full id. */
    Id: string;
    /** With its leading slash. */
    Name: string;
    /** As it was given when the container was created. */
    Image: string;
    Config: {
        Hostname: string;
        Image: string;
        /** `KEY=value` each. */
        Env: string[];
        Labels: Record<string, string>;
    };
    NetworkSettings: {
        /** IPv4 address that the container has in DNS without a plugin. */
        IpAddress: string;
        /** The same, as Docker spells it. */
        IPAddress: string;
        GlobalIPv6Address: string;
        /** By `80/tcp`; empty where the port is exposed and not published. */
        Ports: Record<string, { HostIp: string; HostPort: string }[]>;
        Networks: Record<string, NetworkOfContainer>;
    };
    State: {
        /** `running`. */
        Status: string;
        Running: boolean;
        Paused: boolean;
        Restarting: boolean;
        /** RFC 3339. */
        StartedAt: string;
    };
    Hostname: string;
    /** The variables of `Config.Env`, by name. */
    Env: Record<string, string>;
    Labels: Record<string, string>;
    /** By name, the primary one first. */
    Networks: Record<string, NetworkOfContainer>;
    Health: "none" | "starting" | "healthy" | "unhealthy";
    /** Where it stands in a Compose project; null for one that is in none. */
    Compose: { Project: string; Service: string; Number: number | null } | null;
}

interface NetworkOfContainer {
    IpAddress: string;
    IPAddress: string;
    GlobalIPv6Address: string;
    Gateway: string;
    MacAddress: string;
    Aliases: string[];
}

/** `80`, `"53/udp"`, or a port that is asked for by name: `_http._tcp.<name of the service>`. */
type Port = number | string | { Port: number | string; Protocol?: "tcp" | "udp" | "sctp"; Name?: string };

/** What a container is called. A member that is missing, null or empty is as it would be without the plugin. */
interface Service {
    Service?: string;
    Instance?: string;
    Environment?: string;
    Region?: string;
    /** An address, or a name that the service's names are aliases of. */
    Host?: string;
    /** What SRV records tell, 1 to 65535. */
    Port?: number | string;
    /** Where it listens; the first is what SRV records tell unless `Port` does. */
    Ports?: Port[] | Record<string, unknown>;
    /** Seconds. */
    TTL?: number | string;
    /** Of SRV records, 0 to 65535. */
    Priority?: number | string;
    /** Of SRV records, 0 to 65535. */
    Weight?: number | string;
    /** TXT records. */
    Text?: string | string[];
    /** Names of its own, whole: `shop.example`, `*.shop.example`. A text may hold several, with commas. */
    Names?: string | string[];
}

/** A service as `names` sees it. */
interface NamedService {
    Service: string;
    Instance: string;
    Environment: string;
    Region: string;
    Host: string;
    Port: number | null;
    TTL: number;
    Names: string[];
}

// A plugin defines at least one of these functions:
//
//     function createService(container: Container): Service | Service[] | null | undefined
//     function filterContainer(container: Container): boolean | undefined
//     function names(service: NamedService, container: Container): string[] | string | null | undefined
