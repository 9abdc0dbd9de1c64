//! An upstream for tests: asked over TLS, it takes connections and says nothing, not even to the handshake.

use std::net::TcpListener;
use std::sync::Arc;

use dns::Name;
use rustls::{ClientConfig, RootCertStore};

use crate::forward::{Config, Policy, Route, Upstream};

/// The upstream.
pub(super) struct Silent {
    server: TcpListener,
}

impl Silent {
    pub(super) fn new() -> Self {
        Self {
            server: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// Everything is asked of it.
    pub(super) fn config(&self) -> Config {
        let upstream = Upstream {
            address: self.server.local_addr().unwrap(),
            tls: Some("dns.example".try_into().unwrap()),
        };
        Config {
            routes: vec![Route {
                domain: Name::root(),
                upstreams: vec![upstream],
            }],
            policy: Policy::Sequential,
        }
    }

    /// What its certificate would be held against.
    pub(super) fn trust() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Arc::new(config)
    }
}
