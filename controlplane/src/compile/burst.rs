//! A burst, such as the first list of a host, on all cores. What comes of it is what one core would make.

use std::mem;
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use dns::{Endpoint, Name};

use super::owner::Member;
use super::owners::{Owners, Touched};
use super::{Applied, Compiler, Remarks, records};
use crate::naming::{Mapping, Names, Naming, NamingError};
use crate::registry::Delta;
use crate::service::Service;

/// Differences, and names, from which on other threads are asked to help: some milliseconds of work, beside which the
/// start of a thread is nothing. With fewer nothing is started.
pub(super) const BURST_MIN: usize = 4096;
/// Threads that compile a burst, the one that asks included.
const THREADS_MAX: usize = 16;
/// Names that a service mostly has; those that others have too do not count.
const NAMES_LIKELY: usize = 5;
/// Services that are named ahead in one piece: about a megabyte of names.
const PIECE: usize = 512;
/// Pieces that wait for the compiler; with one more the thread that names them waits.
const PIECES_MAX: usize = 2;

/// What a service is called, or why nothing.
pub(super) type Named = Result<Option<Names>, NamingError>;

/// The same of one that stands at its names: what is left to be done of it, and the words that were changed for it.
type Placed = Result<Option<(Endpoint, Vec<Mapping>)>, NamingError>;

/// Names services and puts them there.
struct Namer {
    naming: Naming,
    owners: Owners,
    touched: Touched,
}

impl Namer {
    fn take_in(&mut self, service: &Arc<Service>) -> Placed {
        let Some(names) = self.naming.names(service)? else {
            return Ok(None);
        };
        let member = Member(Arc::clone(service));
        self.owners.enter(names.places, &member, &mut self.touched);
        Ok(Some((names.endpoint, names.mapped)))
    }

    /// Takes the names from a service that cannot be held.
    fn take_back(&mut self, service: &Arc<Service>) {
        if let Ok(Some(names)) = self.naming.names(service) {
            let member = Member(Arc::clone(service));
            self.owners.withdraw(names.places, &member, &mut self.touched);
        }
    }
}

/// Calls `work` on as many threads as there are cores for us, and returns when all calls have.
pub(super) fn on_all_cores(work: &(dyn Fn() + Sync)) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..cores.min(THREADS_MAX) {
            // Where there is no thread to be had, those that there are do its share.
            let _ = thread::Builder::new()
                .name("compile".to_owned())
                .spawn_scoped(scope, work);
        }
        work();
    });
}

impl Compiler {
    /// As [`Compiler::apply`] for each, in order. Of many that all come, as on the first list of a host, a thread beside this
    /// one does half: it names them and takes in who stands at which name.
    pub fn apply_all(&mut self, deltas: &[Delta]) -> Vec<Applied> {
        let come = deltas.iter().map(|delta| match delta {
            Delta::Came(service) => Some(service),
            Delta::Changed { .. } | Delta::Went(_) => None,
        });
        let come: Option<Vec<_>> = come.collect();
        match come.filter(|come| come.len() >= self.burst_min) {
            Some(come) => self.enter_all(&come),
            None => deltas.iter().map(|delta| self.apply(delta)).collect(),
        }
    }

    fn enter_all(&mut self, services: &[&Arc<Service>]) -> Vec<Applied> {
        let mut namer = Namer {
            naming: self.naming.clone(),
            owners: mem::replace(&mut self.owners, Owners::new()),
            touched: mem::take(&mut self.touched),
        };
        // Where they grow meanwhile, all that they have is looked at again.
        self.named.reserve(services.len());
        namer.touched.reserve(NAMES_LIKELY * services.len());
        let mut all = Vec::with_capacity(services.len());
        let mut refused = Vec::new();
        thread::scope(|scope| {
            let (to, named) = sync_channel(PIECES_MAX);
            let (namer, thread) = (&mut namer, thread::Builder::new().name("name".to_owned()));
            // Where there is no thread to be had nothing comes from it, and all is done below.
            let _ = thread.spawn_scoped(scope, move || {
                for piece in services.chunks(PIECE) {
                    let named: Vec<_> = piece.iter().map(|service| namer.take_in(service)).collect();
                    if to.send(named).is_err() {
                        return;
                    }
                }
            });
            for (service, named) in services.iter().zip(named.into_iter().flatten()) {
                let applied = self.enter_named(service, named);
                if applied.failed.is_some() {
                    refused.push(*service);
                }
                all.push(applied);
            }
        });
        for service in refused {
            namer.take_back(service);
        }
        (self.owners, self.touched) = (namer.owners, namer.touched);
        let left = services.get(all.len()..).unwrap_or_default();
        all.extend(
            left.iter()
                .map(|service| self.apply(&Delta::Came(Arc::clone(service)))),
        );
        all
    }

    /// Takes in the rest of a service that stands at its names already.
    fn enter_named(&mut self, service: &Arc<Service>, named: Placed) -> Applied {
        let outcome = match named {
            Ok(None) => return Applied::default(),
            Ok(Some((mut endpoint, mapped))) => {
                let entered = self.enter_endpoint(service, &mut endpoint);
                entered.map(|()| mapped)
            }
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(mapped) => Applied {
                came: Some(service.clone()),
                mapped,
                ..Applied::default()
            },
            Err(failed) => Applied {
                failed: Some(Box::new(failed)),
                ..Applied::default()
            },
        }
    }

    /// Compiles many names, each once among them, as [`Compiler::compile_name`] does one by one.
    pub(super) fn compile_all(&mut self, mut names: Vec<Name>, remarks: &mut Remarks) {
        // Our own servers have their records already.
        for name in names.extract_if(.., |name| self.servers.contains(name)) {
            Self::tell_of_server(&mut self.told_of_servers, &self.owners, &name, remarks);
        }
        let (owners, held, naming, networks) = (&self.owners, &self.held, &self.naming, &self.networks);
        let noted = Mutex::new(Vec::new());
        let says = |name: &Name| {
            let Some(owner) = owners.get(name) else {
                return held.is_held(name).then(Default::default);
            };
            let mut chosen = owner.choose();
            if let Some(of_name) = chosen.noted.take() {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push((name.clone(), of_name));
            }
            let (rrsets, ports) = records::at(name, &chosen, naming, networks);
            let is_nobodys = chosen.is_contested && rrsets.is_empty();
            (!is_nobodys).then_some((rrsets, ports))
        };
        let errors = self.builder.set_all(&names, says, self.run);
        remarks.errors.extend(errors);
        for (name, noted) in noted.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let news = self.owners.chose(&name, noted);
            remarks.tell(&name, news);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::tests::compiler;
    use super::*;
    use crate::fixture::{addresses, service};

    #[test]
    fn of_many_that_come_those_that_cannot_be_held_or_named_stand_nowhere_and_cost_the_others_nothing() {
        let mut compiler = Compiler {
            burst_min: 0,
            ..compiler()
        };
        let many = (0..=255).map(|last| IpAddr::from([10, 9, 9, last]).into());
        let services = [
            service("e", "one"),
            Service {
                addresses: many.collect(),
                ..service("e", "many")
            },
            Service {
                region: "".into(),
                ..service("e", "nowhere")
            },
            Service {
                addresses: Vec::new().into(),
                ..service("e", "silent")
            },
            service("e", "other"),
        ];
        let deltas = services.map(|service| Delta::Came(Arc::new(service)));
        let applied = compiler.apply_all(&deltas);
        let told = applied.iter().map(|it| (it.came.is_some(), it.failed.is_some()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (true, false),
                (false, true),
                (false, true),
                (false, false),
                (true, false)
            ]
        );
        let (snapshot, remarks) = compiler.compile();
        assert!(remarks.errors.is_empty());
        assert_eq!(addresses(&snapshot, "web.dev.docker").split(' ').count(), 2);
        for nobody in ["many.docker", "nowhere.docker", "silent.docker"] {
            assert_eq!(addresses(&snapshot, nobody), "nxdomain", "{nobody}");
        }
        assert_eq!((compiler.services(), snapshot.endpoints()), (2, 2));
    }
}
