//! Which letters of a name are capitals: what a client's spelling differs in from another's, and what a forger has to
//! guess (draft-vixie-dnsext-dns0x20).

use dns::name::NAME_OCTETS_MAX;
use rand_core::Rng;

const OCTETS: usize = NAME_OCTETS_MAX.div_ceil(8);

/// One bit for each octet of a name: set where it is to be a capital. What is no letter has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Case([u8; OCTETS]);

impl Case {
    /// The spelling of `name`, in wire form.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut bits = [0; OCTETS];
        for (bits, octets) in bits.iter_mut().zip(name.chunks(8)) {
            for (bit, octet) in octets.iter().enumerate() {
                *bits |= u8::from(octet.is_ascii_uppercase()) << bit;
            }
        }
        Self(bits)
    }

    /// A spelling that nobody can guess.
    pub(crate) fn random(random: &mut impl Rng) -> Self {
        let mut bits = [0; OCTETS];
        random.fill_bytes(&mut bits);
        Self(bits)
    }

    /// Spells `name`, lower-cased and in wire form, so. A length octet is at most 63, and so is no letter.
    pub(crate) fn apply(&self, name: &mut [u8]) {
        for (bits, octets) in self.0.iter().zip(name.chunks_mut(8)) {
            for (bit, octet) in octets.iter_mut().enumerate() {
                if bits >> bit & 1 == 1 {
                    octet.make_ascii_uppercase();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_name_is_spelled_as_it_was() {
        for name in [
            b"\x07ExAmPlE\x03oRg\x00".as_slice(),
            b"\x00",
            b"\x02\xc4@\x01Z\x00",
        ] {
            let mut folded = name.to_ascii_lowercase();
            Case::of(name).apply(&mut folded);
            assert_eq!(folded, name);
        }
        let long: Vec<u8> = (0..255).map(|at| if at % 3 == 0 { b'Q' } else { b'q' }).collect();
        let mut folded = long.to_ascii_lowercase();
        Case::of(&long).apply(&mut folded);
        assert_eq!(folded, long);
    }

    #[test]
    fn a_random_spelling_is_the_same_name_and_differs_each_time() {
        let mut random = ChaCha12Rng::from_seed([0; 32]);
        let name = b"\x0aabcdefghij\x0aklmnopqrst\x00";
        let mut spell = || {
            let mut spelled = name.to_vec();
            Case::random(&mut random).apply(&mut spelled);
            assert!(spelled.eq_ignore_ascii_case(name));
            spelled
        };
        assert_ne!(spell(), spell());
    }
}
