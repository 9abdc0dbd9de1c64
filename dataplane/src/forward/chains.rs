//! Who is to be told when a socket fails: the tries that wait there, linked so that they are found without a search.

/// For each place the tries that wait there. A try is a number; it is in one chain at most.
pub(crate) struct Chains {
    /// One more than the first try's number; 0: there is none.
    first: Box<[u16]>,
    /// Before and after each try, likewise.
    links: Box<[[u16; 2]]>,
}

impl Chains {
    /// Empty chains for `places`, of tries below `tries`, which must be below `u16::MAX`.
    pub(crate) fn new(places: usize, tries: usize) -> Self {
        Self {
            first: vec![0; places].into_boxed_slice(),
            // Zeros, so that the kernel gives the memory when it is touched.
            links: vec![[0; 2]; tries].into_boxed_slice(),
        }
    }

    /// A try that waits in `place`.
    pub(crate) fn first(&self, place: usize) -> Option<u16> {
        self.first.get(place)?.checked_sub(1)
    }

    /// Puts `number` into the chain of `place`.
    pub(crate) fn push(&mut self, place: usize, number: u16) {
        let Some(first) = self.first.get_mut(place) else {
            return;
        };
        let after = std::mem::replace(first, number + 1);
        self.link(number, [0, after]);
        if let Some([before, _]) = self.links_of(after) {
            *before = number + 1;
        }
    }

    /// Takes `number` out of the chain of `place`.
    pub(crate) fn remove(&mut self, place: usize, number: u16) {
        let Some(&mut [before, after]) = self.links_of(number + 1) else {
            return;
        };
        match self.links_of(before) {
            Some([_, next]) => *next = after,
            None => self
                .first
                .get_mut(place)
                .into_iter()
                .for_each(|first| *first = after),
        }
        if let Some([previous, _]) = self.links_of(after) {
            *previous = before;
        }
        self.link(number, [0, 0]);
    }

    fn link(&mut self, number: u16, links: [u16; 2]) {
        if let Some(to) = self.links.get_mut(usize::from(number)) {
            *to = links;
        }
    }

    /// The links of the try whose number is one less than `plus_one`; none for 0.
    fn links_of(&mut self, plus_one: u16) -> Option<&mut [u16; 2]> {
        self.links.get_mut(usize::from(plus_one.checked_sub(1)?))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_chain_holds_what_was_put_there_and_not_taken_out() {
        let mut random = ChaCha12Rng::from_seed([3; 32]);
        let (mut chains, mut model) = (Chains::new(4, 32), [None; 32]);
        for _ in 0..20_000 {
            let number = random.next_u32() as usize % model.len();
            match model[number].take() {
                Some(place) => chains.remove(place, number as u16),
                None => {
                    let place = random.next_u32() as usize % 4;
                    chains.push(place, number as u16);
                    model[number] = Some(place);
                }
            }
            for place in 0..4 {
                let mut found = Vec::new();
                let mut next = chains.first(place);
                while let Some(number) = next {
                    found.push(usize::from(number));
                    next = chains.links[usize::from(number)][1].checked_sub(1);
                }
                found.sort_unstable();
                let expected: Vec<_> = (0..32).filter(|&number| model[number] == Some(place)).collect();
                assert_eq!(found, expected);
            }
        }
    }
}
