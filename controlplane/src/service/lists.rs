//! Lists as short as they mostly are, in as little room: there may be a hundred thousand services.

use std::ops::Deref;

use super::{Address, Port};

/// Addresses of a service, those on its primary network first. Nearly every service has one, which lies in place.
#[derive(Clone, Debug)]
pub struct Addresses(Few);

#[derive(Clone, Debug)]
enum Few {
    One(Address),
    Others(Box<[Address]>),
}

/// Ports of a service, least first. Many have none, so that takes one word.
#[derive(Clone, Debug, Default)]
pub struct Ports(Option<Box<Box<[Port]>>>);

const _: () = assert!(size_of::<Addresses>() == size_of::<Address>());
const _: () = assert!(size_of::<Ports>() == 8);

impl Deref for Addresses {
    type Target = [Address];

    fn deref(&self) -> &[Address] {
        match &self.0 {
            Few::One(address) => std::slice::from_ref(address),
            Few::Others(addresses) => addresses,
        }
    }
}

impl Deref for Ports {
    type Target = [Port];

    fn deref(&self) -> &[Port] {
        self.0.as_deref().map_or(&[], |ports| ports)
    }
}

impl From<Vec<Address>> for Addresses {
    fn from(mut addresses: Vec<Address>) -> Self {
        Self(match addresses.pop() {
            Some(only) if addresses.is_empty() => Few::One(only),
            Some(last) => {
                addresses.push(last);
                Few::Others(addresses.into())
            }
            None => Few::Others(Box::default()),
        })
    }
}

impl From<Vec<Port>> for Ports {
    fn from(ports: Vec<Port>) -> Self {
        Self((!ports.is_empty()).then(|| Box::new(ports.into())))
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl FromIterator<Address> for Addresses {
    fn from_iter<I: IntoIterator<Item = Address>>(addresses: I) -> Self {
        Vec::from_iter(addresses).into()
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a Address;
    type IntoIter = std::slice::Iter<'a, Address>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'p> IntoIterator for &'p Ports {
    type Item = &'p Port;
    type IntoIter = std::slice::Iter<'p, Port>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Addresses {}

impl PartialEq for Ports {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Ports {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::on;
    use crate::service::Protocol;

    #[test]
    fn a_list_has_what_it_was_made_of() {
        let all = ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| on("front", ip));
        let port = |number| Port {
            protocol: Protocol::Tcp,
            number,
        };
        let ports = [port(80), port(443), port(8080)];
        for count in 0..=3 {
            let addresses = Addresses::from(all[..count].to_vec());
            assert_eq!(*addresses, all[..count]);
            assert_eq!(addresses, all[..count].iter().cloned().collect());
            assert_eq!(*Ports::from(ports[..count].to_vec()), ports[..count]);
        }
        assert_eq!(*Addresses::default(), []);
        assert_eq!(*Ports::default(), []);
        assert_ne!(Addresses::default(), all[..1].to_vec().into());
    }
}
