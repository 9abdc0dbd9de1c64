//! Both planes: put together, watched, and taken down.

mod standing;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use controlplane::compile::PublishedAt;
use controlplane::docker::EngineState;
use controlplane::plugin::{self, LoadError, Plugins};
use controlplane::{Access, Defaults, EngineStatus, FlushCache, Renewal, Status};
use dataplane::cache::{Flush, Flusher};
use dns::{Builder, ZoneSettings};
use ipnet::IpNet;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::standing::Facts;
use crate::failure::{self, Failure};
use crate::follow::Follower;
use crate::host;
use crate::listen;
use crate::report::Report;
use crate::settings::{self, Settings, Spread};
use crate::signals::Readable;
use crate::upstreams::{Ourselves, RESOLV_CONF, Upstreams};
use crate::{admin, conditions, counts, engines, rehearsal};

/// How long the report waits for the names of the engine. Thousands of containers are listed within this; an engine
/// that takes longer is reported as it is.
const REPORT_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long stopping may take in all. Whoever stops us begins to wonder after about a second.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(crate) struct Planes {
    workers: dataplane::Handle,
    control: JoinHandle<Result<(), controlplane::PartEnded>>,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    /// Whether the report could not say yet whether an engine is there.
    is_engine_untold: bool,
    follower: Option<Follower>,
    plugins: Option<Plugins>,
    renewal: Option<Renewal>,
    facts: Facts,
}

impl Planes {
    /// Binds what there is to bind, then starts both planes. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] and [`Failure::Runtime`], as binding and starting have it; nothing is left running then.
    pub(crate) async fn start(settings: Settings) -> Result<Self, Failure> {
        let mut watches = engines::watches(&settings)?;
        let plugins = plugins(&settings)?;
        for watch in &mut watches {
            watch.plugins.clone_from(&plugins);
        }
        let interfaces = host::interfaces()?;
        let bridge = listen::bridge_addresses(&interfaces);
        let listeners = listen::bind(&settings.listen, &bridge, |address| {
            let bound = dataplane::bind(address, settings.cores.len())?;
            match settings.spread {
                Spread::Hash => {}
                Spread::Core => bound.steer_by_core(&settings.cores)?,
            }
            Ok(bound)
        })?;
        let (fallback, notes) = (listeners.fallback, listeners.notes);
        let listeners: Vec<_> = listeners.bound.into_iter().map(|(_, bound)| bound).collect();
        let addresses: Vec<_> = listeners.iter().map(dataplane::BoundAddress::address).collect();
        let ourselves = Ourselves::on(addresses.clone(), &interfaces);
        let (upstreams, follower) = Follower::start(&settings.upstreams, RESOLV_CONF.into(), &ourselves)?;
        // As loopback, and for the same reason: a packet of ours to a bridge may carry any address of this host.
        let this_host: Vec<IpNet> = ourselves.host.iter().copied().map(IpNet::from).collect();
        let admin = admin::bind(settings.http).await?;

        let served_at = listen::reached_at(&addresses, &ourselves.host);
        let zones = settings
            .zones
            .iter()
            .map(|zone| ZoneSettings::of(zone.clone(), settings.ttl_seconds).served_at(served_at.clone()));
        let mut builder = Builder::new(zones.collect(), hash_seed()?, serial())
            .map_err(|error| Failure::Usage(format!("--domain: {error}")))?;
        let (publisher, reader) = dns::channel(builder.build());

        let engine = engine(settings.engine)?;
        let config = dataplane::Config {
            rate_limit: settings.rate_limit,
            nsid: settings.nsid.clone(),
            forwards_private_reverse: settings.forwards_private_reverse,
            cookie_secret: cookie_secret()?,
            tls: settings.upstreams.trust()?,
            cores: settings.cores.clone(),
            listeners,
            upstreams: upstreams.config(),
            cache: dataplane::cache::Settings {
                octets: settings.caching.octets,
                rules: settings.caching.rules.clone(),
            },
            fallthrough: settings.caching.fallthrough.clone(),
            allow: settings
                .allow
                .iter()
                .copied()
                .chain(this_host.iter().copied())
                .collect(),
            engine,
        };
        let workers =
            dataplane::spawn(config, reader).map_err(|error| Failure::Runtime(failure::chain(&error)))?;
        host::give_way();

        let (admin, admin_shown) = match admin {
            Ok(listener) => (Some(listener), standing::admin_shown(&settings)),
            Err(reason) => (None, reason),
        };
        let access = Access {
            secret: settings.rest.secret.clone(),
            names: host::names(),
            is_open: settings.rest.is_insecure,
            tls: settings.rest.tls.clone(),
            settings: settings.in_force.clone(),
        };
        let renewal = Renewal::of(&access);
        let config = controlplane::Config {
            zones: settings.zones.clone(),
            published: PublishedAt {
                addresses: settings.published_addresses.clone(),
                here: this_host,
            },
            engines: watches,
            admin,
            access,
            renewal: renewal.clone(),
            defaults: Defaults {
                environment: settings.environment.as_str().into(),
                region: settings.region.as_str().into(),
                ttl_seconds: settings.ttl_seconds,
            },
            data_dir: settings.rest.data_dir.clone(),
            count_cores: counts::of(workers.counters(), workers.conditions()),
            rehearse: rehearsal::of(workers.rehearsal()),
            flush_cache: flush(workers.flusher()),
        };
        let stop = CancellationToken::new();
        let (sender, status) = watch::channel(Status::default());
        let control = tokio::spawn(controlplane::run(
            config,
            builder,
            publisher,
            sender,
            stop.clone(),
        ));

        let facts = Facts {
            workers: standing::workers_shown(engine, &settings.cores),
            fallback,
            notes,
            listeners: addresses,
            bridge,
            upstreams,
            admin: admin_shown,
            settings,
        };
        Ok(Self {
            workers,
            control,
            stop,
            status,
            is_engine_untold: false,
            follower,
            plugins,
            renewal,
            facts,
        })
    }

    /// What of it is read again when somebody asks for it.
    pub(crate) fn readable(&self) -> Readable {
        Readable {
            plugins: self.plugins.clone(),
            renewal: self.renewal.clone(),
        }
    }

    /// Waits a moment for the names of the engine, then tells how everything stands.
    pub(crate) async fn report(&mut self) -> Report {
        let settled = |status: &Status| {
            let is_away = |engine: &EngineStatus| matches!(engine.state, EngineState::Away { .. });
            // Nothing is known of any before the control plane has begun.
            let is_told = |engine: &EngineStatus| engine.is_synced || is_away(engine);
            status.is_complete || !status.engines.is_empty() && status.engines.iter().all(is_told)
        };
        // An engine that takes longer, or a control plane that has ended, is shown as it is.
        let _ = tokio::time::timeout(REPORT_WAIT_MAX, self.status.wait_for(settled)).await;
        let status = self.status.borrow().clone();
        self.is_engine_untold = !standing::are_found_out(&status);
        self.facts.report(&status)
    }

    /// Waits until something ends that never should. Meanwhile it follows the host's resolv.conf.
    pub(crate) async fn failed(&mut self) -> Failure {
        let Self {
            control,
            status,
            workers,
            follower,
            facts,
            ..
        } = self;
        let tell = async {
            if self.is_engine_untold {
                standing::tell_what_was_found_out(status).await;
            }
        };
        let follow = async {
            if let Some(follower) = follower {
                let set = |upstreams: &Upstreams| {
                    let set = workers.set_upstreams(upstreams.config());
                    set.map_err(|error| error.to_string())
                };
                let ourselves = || {
                    let interfaces = host::interfaces().ok()?;
                    Some(Ourselves::on(facts.listeners.clone(), &interfaces))
                };
                follower.run(ourselves, set).await;
            }
        };
        let ended = tokio::select! {
            ended = &mut *control => ended,
            _ = async { tokio::join!(tell, follow, conditions::tell(workers.conditions())) } => control.await,
        };
        match ended {
            Ok(Err(ended)) => Failure::Runtime(ended.to_string()),
            Ok(Ok(())) => Failure::Runtime("the control plane stopped without being asked to".to_owned()),
            Err(error) => Failure::Runtime(format!("the control plane broke down ({error})")),
        }
    }

    /// Stops both planes: what is queued is answered, and what waits for an upstream gets [`STOP_WAIT_MAX`].
    pub(crate) async fn stop(self) {
        let Self {
            workers,
            control,
            stop,
            ..
        } = self;
        stop.cancel();
        let drained = tokio::task::spawn_blocking(move || workers.stop());
        let ended = async {
            // How each ended no longer matters.
            let _ = tokio::join!(drained, control);
        };
        if tokio::time::timeout(STOP_WAIT_MAX, ended).await.is_err() {
            tracing::warn!("not everything stopped within {STOP_WAIT_MAX:?}; ending without it");
        }
    }
}

/// The plugins that were asked for; none if none were.
fn plugins(settings: &Settings) -> Result<Option<Plugins>, Failure> {
    if settings.plugins.is_empty() {
        return Ok(None);
    }
    let defaults = plugin::Defaults {
        ttl_seconds: settings.ttl_seconds,
        environment: settings.environment.clone(),
    };
    match Plugins::load(settings.plugins.clone(), defaults) {
        Ok(plugins) => {
            tracing::info!("plugins: {}", plugins.files().join(", "));
            Ok(Some(plugins))
        }
        Err(error @ LoadError::Thread(_)) => Err(Failure::Runtime(failure::chain(&error))),
        Err(error) => Err(Failure::Usage(format!("--plugins: {error}"))),
    }
}

/// What the workers run on. Where io_uring was not asked for by name, its absence costs a log line, no more.
fn engine(asked: settings::Engine) -> Result<dataplane::Engine, Failure> {
    if asked == settings::Engine::Threads {
        return Ok(dataplane::Engine::Threads);
    }
    match dataplane::probe(dataplane::Engine::Glommio) {
        Ok(()) => Ok(dataplane::Engine::Glommio),
        Err(reason) if asked == settings::Engine::Glommio => Err(failure::of("--engine glommio", &reason)),
        // Threads would fail for it too.
        Err(reason) if failure::shortage(&reason).is_some() => {
            Err(failure::of("the workers cannot be started", &reason))
        }
        Err(reason) => {
            let reason = failure::chain(&reason);
            tracing::warn!("the workers run on plain threads: {reason}");
            Ok(dataplane::Engine::Threads)
        }
    }
}

/// A closure that has the workers forget what they keep.
fn flush(flusher: Flusher) -> FlushCache {
    Arc::new(move |name| match name {
        None => flusher.flush(&Flush::All),
        Some(name) => flusher.flush(&Flush::Below(name.clone())),
    })
}

/// Secret of the snapshot's hash: whoever may choose names must not be able to choose colliding ones.
fn hash_seed() -> Result<u64, Failure> {
    getrandom::u64()
        .map_err(|error| Failure::Runtime(format!("the kernel gives no random numbers ({error})")))
}

/// What DNS cookies are made from.
fn cookie_secret() -> Result<[u8; 16], Failure> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::Runtime(format!("the kernel gives no random numbers ({error})")))?;
    Ok(secret)
}

/// First serial of the zones: seconds since 1970, so that a restart goes on above where it was (RFC 1982).
fn serial() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The serial is a number modulo 2^32 by definition.
    (since.as_secs() & u64::from(u32::MAX)) as u32
}
