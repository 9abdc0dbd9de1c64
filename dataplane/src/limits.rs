//! Every bound of the data plane: its unit, its reason, and what happens at it.
//!
//! All tables and buffers are made once per core when it starts, at the sizes named here, so what a
//! flood can cost is fixed in advance and nothing on the query path allocates.

use std::time::Duration;

// --- datagrams ---

/// Largest reply sent over UDP, in octets: 1280 (least IPv6 MTU) less 40 (IPv6) and 8 (UDP), so that no
/// reply is ever cut into fragments (RFC 9715). A longer one leaves with TC set.
pub const UDP_REPLY_OCTETS_MAX: usize = 1280 - 40 - 8;

/// What every client takes over UDP, EDNS or not, in octets (RFC 1035, section 2.3.4).
pub const UDP_REPLY_OCTETS_MIN: usize = 512;

/// Largest message there is, in octets: its length over TCP is a 16-bit number (RFC 1035, section 4.2.2).
pub const REPLY_OCTETS_MAX: usize = 65_535;

/// Longest name of this server that clients are told (NSID), in octets: a host name's label, and it leaves room for
/// every other option. Settings refuse a longer one.
pub const NSID_OCTETS_MAX: usize = 63;

/// Room for one received datagram, in octets. Queries are far smaller, but one padded or stuffed with
/// options is legal; a longer datagram is dropped and counted.
pub const DATAGRAM_OCTETS_MAX: usize = 4096;

/// Datagrams taken by one system call. Past 16 a wider batch saves next to nothing and costs latency; 32
/// leaves room for bursts. What does not fit waits in the socket for the next call.
///
/// Measured with 192 queries under way from 8 sockets, in turns on one core, thousands of queries per CPU-second: 116 with 8
/// datagrams, 119 with 16, 120 with 32, 120 with 64. Reading ahead, which looks up all names of a batch first so that
/// their misses of the cache overlap, made 100 000 names in random order dearer: 77 against 83.
/// Of these names 97 were answered with 64 datagrams there; in three turns more, each with 32 and 64, it was 209 and 194.
pub const BATCH_DATAGRAMS_MAX: usize = 32;

/// Batches taken from one listener before the others, and the executor, get a turn. The rest waits in the socket.
pub const BATCHES_PER_TURN_MAX: usize = 16;

/// Receive queue asked of the kernel for each listening socket, in octets. A small datagram is charged
/// about 768, so this rides out some 15 ms of 300 000 queries a second; past it the kernel drops.
pub const RECEIVE_QUEUE_OCTETS: usize = 4 << 20;

/// Times that a batch whose send would block is tried again before its datagram is dropped and counted.
pub const SEND_RETRIES_MAX: usize = 4;

/// Listening addresses. `spawn` refuses more.
pub const LISTENERS_MAX: usize = 64;

// --- fairness ---

/// Sets of four buckets in which a core counts replies by network: 256 KiB. In a full set the bucket that is the least
/// missed makes room, so a network may start afresh, and one that is being limited does not.
pub const RATE_SETS: usize = 4096;

/// Most replies a second that a network can be limited to. A core does not answer as many.
pub const RATE_LIMIT_MAX: u32 = 1_000_000;

/// Replies a second that a public network gets from each core unless told otherwise; as NSD has it on Debian. A
/// resolver that asks for more than that has a cache to fill, and is bidden to come by TCP or with a cookie.
pub const RATE_LIMIT_DEFAULT: u32 = 200;

/// Counters of queries that wait, by a hash of the client's address. Clients that meet in one share a bound, no more.
pub const SHARES: usize = 8192;

/// A client may have this many queries waiting for each place that is still free: three quarters of them alone, less
/// the more others there are, and never the last. The next one is answered SERVFAIL.
pub const SHARE_OF_FREE: usize = 3;

// --- waiting ---

/// How long a core that has run out of work sleeps in one plain `ppoll` before it parks its executor.
///
/// Parking glommio costs some ten system calls, `ppoll` one. At 200 queries a second and more the next
/// one comes within this time, so the executor is parked only where it hardly matters. While it
/// lasts the executor serves nothing else, hence no longer than this.
///
/// Measured against parking at once, in turns on one core: 120 against 98 thousand queries per CPU-second with 192 under way,
/// and 136 against 158 us of CPU for each of 1000 a second. Polling 20 times before sleeping instead saved nothing:
/// 111 thousand, and 138 us.
pub const LINGER: Duration = Duration::from_millis(20);

/// How long a stopping core waits for answers from upstream; clients still waiting then get SERVFAIL.
/// Service managers and people expect a stop within a second.
pub const DRAIN_MAX: Duration = Duration::from_millis(500);

// --- streams ---

/// Open TCP connections, of all clients. Half of the 1024 descriptors that a process usually gets, so that enough are
/// left for upstreams. At the bound the connection that has been idle longest is closed for a newcomer, who is
/// refused only where none is idle.
pub const TCP_CONNECTIONS_MAX: usize = 512;

/// Open TCP connections, of all clients, from which on one of an address that may not ask comes in only in the place of
/// another such. So half of all places is for those who may, however many addresses others have.
pub const TCP_CONNECTIONS_OPEN_TO_STRANGERS_MAX: usize = TCP_CONNECTIONS_MAX / 2;

/// Open TCP connections of one client address. Clients need one, and programs with many threads some; more than
/// a sixteenth of all is nobody's fair share. At the bound the address loses its own oldest idle one.
pub const TCP_CONNECTIONS_PER_ADDRESS_MAX: usize = 32;

/// Connections that the kernel completes and keeps until we take them, for each listening address. Past it clients
/// try again after a second.
pub const TCP_BACKLOG: i32 = 256;

/// Connections taken from one listener before those that are open get a turn. The rest waits in the backlog.
pub const TCP_ACCEPTS_PER_TURN_MAX: usize = 64;

/// How long no connection is taken after descriptors or memory have run out. They wait in the backlog meanwhile.
pub const TCP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Queries of one connection that wait for an upstream. Further ones stay unread until one is answered. All
/// connections of one address together fill no more than a quarter of the table of waiting queries.
pub const TCP_QUERIES_IN_FLIGHT_MAX: usize = 32;

/// Queries answered for one connection before the others get a turn. The rest waits.
pub const TCP_QUERIES_PER_TURN_MAX: usize = 64;

/// Octets read from one connection before the others get a turn, some hundred queries. The rest waits in the socket.
pub const TCP_READ_OCTETS_MAX: usize = 16 << 10;

/// Replies that one client has not taken yet, in octets, beyond what the kernel holds: two of the largest. While
/// another might not fit, its queries stay unread; an answer from upstream that does not fit closes the connection.
pub const TCP_OUTPUT_OCTETS_MAX: usize = 2 * (REPLY_OCTETS_MAX + 2);

/// Send and receive queues of a connection in the kernel, in octets. Left alone they grow to megabytes for a client
/// that does not read. At the bound its replies stay with us.
pub const TCP_KERNEL_QUEUE_OCTETS: usize = 64 << 10;

/// How long a connection may be idle, before its first query and after each (RFC 7766, section 6.2.3, asks for a few
/// seconds). It is closed then.
pub const TCP_IDLE_MAX: Duration = Duration::from_secs(10);

/// How long a query may take from its first octet to its last. Long enough for some packets to be lost and sent
/// again; the connection of a client that drips octets is closed then.
pub const TCP_QUERY_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a client may take for all that is queued for it. Its connection is closed then.
pub const TCP_OUTPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Events taken from the kernel in one turn. The rest waits there.
pub const TCP_EVENTS_PER_TURN_MAX: usize = 256;

// --- forwarding ---

/// Clients' queries that wait for upstreams, per core, and so questions that upstreams are asked at once. The next one
/// is answered SERVFAIL.
pub const PENDING_MAX: usize = 16_384;

/// Of these, queries about aliases of ours that lead to other names, per core: each keeps its own question, 270 octets,
/// besides. As many as there can be, so that the share of each client holds for them too.
pub const ALIASES_WAITING_MAX: usize = PENDING_MAX;

/// Clients that wait for the answer to one question. The next one is answered SERVFAIL: writing so many replies at once
/// already takes some milliseconds, in which nobody else is answered.
pub const CROWD_MAX: usize = 1024;

/// Upstreams of one domain. A configuration with more is refused.
pub const UPSTREAMS_MAX: usize = 8;

/// Different upstreams, of all domains. A configuration with more is refused.
pub const UPSTREAMS_IN_ALL_MAX: usize = 32;

/// Domains with upstreams of their own. They are compared one after the other with a name that is not ours, so a
/// configuration with more is refused.
pub const ROUTES_MAX: usize = 64;

/// Sockets towards upstreams, per core: an eighth of the descriptors that a process usually gets, for two cores and TCP.
/// Upstreams share them equally.
pub const UPSTREAM_SOCKETS_MAX: usize = 256;

/// Sockets towards one upstream, per core, even where there are few upstreams. Each query gets a fresh one, on a
/// fresh source port, while there is a free place; at the bound queries share them and differ by id only.
pub const UPSTREAM_SOCKETS_EACH_MAX: usize = 32;

/// Connections to upstreams, per core, for replies that were cut. Each is for one question. A question that finds none
/// goes to the next upstream, or is answered SERVFAIL.
pub const UPSTREAM_STREAMS_MAX: usize = 32;

/// Octets of questions that wait to be sent over one connection of TLS: some two hundred. The next one is lost, as a
/// datagram might be, and tried again.
pub const TLS_UNSENT_OCTETS_MAX: usize = 64 << 10;

/// How long a connection over TLS may say nothing while replies are waited for, be it to the handshake. It is given up
/// then, early enough for another one to answer.
pub const TLS_SILENCE_MAX: Duration = Duration::from_millis(1600);

/// How long a connection over TLS is kept that nothing is asked by. Most servers end it sooner.
pub const TLS_IDLE_MAX: Duration = Duration::from_secs(20);

/// Tries that an upstream must leave without a reply, one after the other, before others are asked in its stead. One
/// lost packet is nothing.
pub const UPSTREAM_FAILURES_MAX: u32 = 3;

/// How long an upstream that is down is left alone before it is probed, where there are others to ask.
pub const UPSTREAM_REST_MIN: Duration = Duration::from_secs(1);

/// The longest such time: it doubles with each probe.
pub const UPSTREAM_REST_MAX: Duration = Duration::from_secs(16);

/// Of the queries for the fastest upstream, one in so many goes to any of those that are well.
pub const EXPLORE_ONE_IN: u32 = 16;

/// Room for a reply from upstream, in octets: the largest there can be, so none arrives cut.
pub const UPSTREAM_REPLY_OCTETS_MAX: usize = REPLY_OCTETS_MAX;

/// Replies read from one upstream socket before the listeners get a turn. The rest waits in the socket.
pub const UPSTREAM_REPLIES_PER_TURN_MAX: usize = 32;

/// How long a try waits for its reply before another one is made. Stub resolvers give up after five seconds and most
/// ask again after one or two, so the first retry comes before theirs.
pub const TRY_TIMEOUT: Duration = Duration::from_millis(800);

/// No try is made that could wait for less than this before its query is given up, and none that waited for less says
/// that its upstream is slow.
pub const TRY_TIMEOUT_MIN: Duration = Duration::from_millis(300);

/// Tries of one question that may still be answered, the newest of them.
pub const TRIES_MAX: usize = 3;

/// How often upstreams are asked one question, whatever they say to it: each of them once with EDNS and once without. The
/// last error is told after it.
pub const ASKS_MAX: u32 = 2 * UPSTREAMS_MAX as u32;

/// How long an upstream is asked without EDNS, or without a spelling that it would have to keep, once it showed that it
/// does not know them.
pub const MANNERS_TIME: Duration = Duration::from_secs(15 * 60);

/// Replies in another spelling than was asked, one after the other, before an upstream is taken for one that does not
/// keep it.
pub const MANGLED_MIN: u32 = 3;

/// Questions that may be under way for a cache to be refreshed: half of them all, so that clients come first.
pub const REFRESHES_MAX: usize = PENDING_MAX / 2;

/// How long a client waits at most for the answer to a forwarded query, be it SERVFAIL.
pub const FORWARD_TIMEOUT: Duration = Duration::from_millis(2500);

/// Tries to find a message id that is not in use on a socket before the free ones are looked for in order.
pub const ID_DRAWS_MAX: usize = 16;

// --- cache ---

/// Octets that the caches of all cores take together, unless told otherwise.
pub const CACHE_OCTETS_DEFAULT: usize = 32 << 20;

/// Least octets that the cache of one core can do with: one draft of an answer, and some hundred answers. Settings refuse
/// less.
pub const CACHE_SHARE_OCTETS_MIN: usize = 256 << 10;

/// Most octets that the cache of one core can take: positions are 32-bit numbers. Settings refuse more.
pub const CACHE_SHARE_OCTETS_MAX: usize = 16 << 30;

/// Longest time that an answer is kept, in seconds, unless told otherwise: a day, as Unbound has it (RFC 8767, section
/// 4, has seven days at most).
pub const CACHE_TTL_MAX: u32 = 24 * 60 * 60;

/// Longest time that it is kept that there is nothing, in seconds (RFC 2308, section 5: one to three hours).
pub const CACHE_NEGATIVE_TTL_MAX: u32 = 3 * 60 * 60;

/// How long a failure is kept, in seconds (RFC 9520, section 3.2: one to 300). Short, so that an upstream that is well
/// again is noticed.
pub const CACHE_FAILURE_TTL: u32 = 5;

/// Longest time past its end that an answer can be told, in seconds (RFC 8767, section 5: one to three days).
pub const STALE_SECONDS_MAX: u32 = 3 * 24 * 60 * 60;

/// How long a client waits for upstreams before it is told an answer past its time, unless told otherwise (RFC 8767,
/// section 5: 1.8 seconds, for most stub resolvers ask again or give up after two).
pub const STALE_PATIENCE_DEFAULT: Duration = Duration::from_millis(1800);

/// How long no upstream is asked again for what is told past its end, in seconds (RFC 8767, section 5).
pub const CACHE_STALE_PAUSE: u32 = 30;

/// Aliases that lead from one name to the next. A reply with more is no answer; BIND and Unbound draw the line here, too.
pub const CACHE_LINKS_MAX: usize = 11;

/// Entries that are spared and moved when one more comes. Past it the oldest goes although it is in use, so that no
/// insertion takes long.
pub const CACHE_MOVES_MAX: usize = 16;

/// Hits from which an entry is refreshed before it is over.
pub const CACHE_REFRESH_HITS: u8 = 3;

/// It is refreshed in the last one of so many parts of its time.
pub const CACHE_REFRESH_SHARE: u32 = 10;

/// Entries kept for a shorter time are not refreshed: they would be all the time. In seconds.
pub const CACHE_TTL_REFRESHED_MIN: u32 = 10;

/// How long it is not tried again to refresh an entry, in seconds. Longer than an upstream may take.
pub const CACHE_REFRESH_PAUSE: u32 = 5;

/// Orders to forget that a core can catch up with. One that missed more forgets everything.
pub const FLUSHES_MAX: usize = 64;

const _: () = assert!(
    TCP_CONNECTIONS_PER_ADDRESS_MAX * TCP_QUERIES_IN_FLIGHT_MAX * 4 <= PENDING_MAX,
    "no client address can fill the table of waiting queries"
);
const _: () = assert!(
    TCP_OUTPUT_OCTETS_MAX >= REPLY_OCTETS_MAX + 2,
    "a reply of the largest size has room"
);
const _: () = assert!(
    UDP_REPLY_OCTETS_MAX >= UDP_REPLY_OCTETS_MIN,
    "RFC 1035, section 2.3.4"
);
const _: () = assert!(
    DATAGRAM_OCTETS_MAX >= UDP_REPLY_OCTETS_MAX,
    "a reply is written over its query"
);
const _: () = assert!(
    BATCH_DATAGRAMS_MAX <= 1024,
    "UIO_MAXIOV: the kernel takes no wider batch"
);
const _: () = assert!(RATE_SETS.is_power_of_two(), "a hash is masked, not divided");
const _: () = assert!(SHARES.is_power_of_two(), "a hash is masked, not divided");
const _: () = assert!(
    RATE_LIMIT_MAX as u64 * 1000 <= u32::MAX as u64,
    "a bucket counts thousandths of replies in 32 bits"
);
const _: () = assert!(
    LISTENERS_MAX <= 256,
    "a waiting query names its listener in one octet"
);
const _: () = assert!(
    UPSTREAM_SOCKETS_MAX >= UPSTREAMS_IN_ALL_MAX,
    "every upstream gets a socket"
);
const _: () = assert!(
    PENDING_MAX * TRIES_MAX < u16::MAX as usize,
    "tries are numbered in 16 bits"
);
const _: () = assert!(
    PENDING_MAX * TRIES_MAX / (UPSTREAM_SOCKETS_MAX / UPSTREAMS_IN_ALL_MAX) < 1 << 15,
    "most ids stay free on a socket even when all queries wait on one upstream"
);
