//! A burst, such as the first list of a host, on all cores. What comes of it is what one core would make.

use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use dns::Name;

use super::{Applied, Compiler, Remarks, records};
use crate::naming::{Names, NamingError};
use crate::registry::Delta;

/// Differences, and names, from which on other threads are asked to help: some milliseconds of work, beside which the
/// start of a thread is nothing. With fewer nothing is started.
pub(super) const BURST_MIN: usize = 4096;
/// Threads that compile a burst, the one that asks included.
const THREADS_MAX: usize = 16;
/// Differences that are named ahead in one piece: about a megabyte of names.
const PIECE: usize = 512;
/// Pieces that wait for the compiler; with one more the thread that names them waits.
const PIECES_MAX: usize = 2;

/// What a service is called, or why nothing.
pub(super) type Named = Result<Option<Names>, NamingError>;

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
    /// As [`Compiler::apply`] for each, in order. Of many, those behind are named while those before are taken in.
    pub fn apply_all(&mut self, deltas: &[Delta]) -> Vec<Applied> {
        if deltas.len() < self.burst_min {
            return deltas.iter().map(|delta| self.apply(delta)).collect();
        }
        let naming = self.naming.clone();
        let name = move |delta: &Delta| delta.after().map(|service| naming.names(service));
        let mut all = Vec::with_capacity(deltas.len());
        thread::scope(|scope| {
            let (to, named) = sync_channel::<Vec<Option<Named>>>(PIECES_MAX);
            let ahead = name.clone();
            let namer = thread::Builder::new().name("name".to_owned());
            // Where there is no thread to be had, they are named here.
            let _ = namer.spawn_scoped(scope, move || {
                for piece in deltas.chunks(PIECE) {
                    if to.send(piece.iter().map(&ahead).collect()).is_err() {
                        return;
                    }
                }
            });
            for piece in deltas.chunks(PIECE) {
                let named = named.recv();
                let named = named.unwrap_or_else(|_| piece.iter().map(&name).collect());
                let applied = piece.iter().zip(named);
                all.extend(applied.map(|(delta, named)| self.apply_named(delta, named)));
            }
        });
        all
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
