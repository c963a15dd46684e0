use std::net::IpAddr;

/// A range of addresses: those that begin with the same bits (CIDR). A single address is a range, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    #[error("expected an address, or a range such as 10.0.0.0/8 or 2001:db8::/32")]
    Form,
    #[error("the address has more bits than the range: {first}/{bits} would be a range")]
    HostBits { first: IpAddr, bits: u32 },
}

impl Network {
    /// Parses an address, or an address and the number of bits that the range has in common.
    pub fn parse(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| NotANetwork::Form)?)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Form)?;
        // A range of mapped addresses is written as the IPv4 range.
        let address = if bits.is_none() { address.to_canonical() } else { address };
        let all = width(address);
        let bits = bits.unwrap_or(all);
        if bits > all {
            return Err(NotANetwork::Form);
        }
        let first = head(address, bits);
        if first == address { Ok(Self { first, bits }) } else { Err(NotANetwork::HostBits { first, bits }) }
    }

    /// Whether the address is in the range. An IPv4 address counts as such also where it is mapped into IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.first) && head(address, self.bits) == self.first
    }
}

/// The number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with its first `bits` bits; the others are zero.
fn head(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(it) => {
            IpAddr::V4((it.to_bits() & u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or_default()).into())
        }
        IpAddr::V6(it) => {
            IpAddr::V6((it.to_bits() & u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or_default()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_addresses_that_begin_like_it() {
        for (range, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.1.2", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255", "::1"][..],
            ),
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            ("::ffff:192.0.2.7", &["192.0.2.7"], &["192.0.2.8"]),
            ("192.0.2.6/31", &["192.0.2.6", "192.0.2.7"], &["192.0.2.5", "192.0.2.8"]),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::", "2001:db8::1"]),
            ("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "10.0.0.1"]),
            ("fd00::/8", &["fd12:3456::1"], &["fc00::1"]),
            ("::/0", &["::", "ffff::"], &["10.0.0.1"]),
        ] {
            let network = Network::parse(range).unwrap();
            assert!(inside.iter().all(|address| network.contains(address.parse().unwrap())), "{range}");
            assert!(!outside.iter().any(|address| network.contains(address.parse().unwrap())), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_and_one_that_was_meant_is_told() {
        for wrong in
            ["", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "2001:db8::/129", "a.org", "/8", "10.0.0.0/8/8"]
        {
            assert_eq!(Network::parse(wrong), Err(NotANetwork::Form), "{wrong}");
        }
        let told = Network::parse("10.0.0.1/8").unwrap_err().to_string();
        assert!(told.contains("10.0.0.0/8"), "{told}");
    }
}
