//! The policy for addresses that the gateway connects to.
//!
//! It is applied to the resolved address, and exactly that address is dialled. So a name that
//! resolves differently in between (DNS rebinding) does not bypass it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The policy for addresses that the gateway connects to.
///
/// It always refuses link-local, multicast, broadcast and unspecified addresses, and the metadata
/// services of clouds: they do not serve clusters, but may serve credentials. By default it permits
/// loopback and private addresses, where clusters usually are.
#[derive(Clone, Copy, Debug)]
pub struct AddressPolicy {
    /// True if loopback addresses are permitted.
    pub loopback: bool,
    /// True if private networks (RFC 1918, RFC 4193) and shared address space (RFC 6598) are
    /// permitted.
    pub private: bool,
}

impl Default for AddressPolicy {
    fn default() -> Self {
        Self {
            loopback: true,
            private: true,
        }
    }
}

/// Metadata services of clouds outside link-local space: Alibaba, Azure, AWS.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

impl AddressPolicy {
    /// Returns whether this address may be dialled.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = embedded(address);
        if METADATA.contains(&address) || address.is_unspecified() || address.is_multicast() {
            return false;
        }
        if address.is_loopback() {
            return self.loopback;
        }
        match address {
            IpAddr::V4(v4) if v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0 => {
                false
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => false,
            IpAddr::V4(v4) if v4.is_private() || is_shared(v4) => self.private,
            IpAddr::V6(v6) if v6.is_unique_local() => self.private,
            _ => true,
        }
    }
}

/// Returns the IPv4 address in an IPv6 one that is mapped or behind NAT64 (RFC 6052).
fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 => v4,
    }
}

/// Returns whether the address is in 100.64.0.0/10.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::AddressPolicy;

    #[track_caller]
    fn check(policy: AddressPolicy, address: &str, expected: bool) {
        assert_eq!(
            policy.allows(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }

    #[test]
    fn no_cluster_lives_where_credentials_do() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
        ] {
            check(AddressPolicy::default(), address, false);
        }
    }

    #[test]
    fn loopback_and_private_networks_can_be_shut_off() {
        let closed = AddressPolicy {
            loopback: false,
            private: false,
        };
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "fd00::1",
        ] {
            check(AddressPolicy::default(), address, true);
            check(closed, address, false);
        }
        for address in ["1.1.1.1", "2001:4860:4860::8888", "100.128.0.1"] {
            check(closed, address, true);
        }
    }
}
