//! L2, the unicast routes that rules and protocols ask. Pure.

use crate::types::{IfIndex, Route};
use ipnet::{IpNet, Ipv4Net};
use prefix_trie::PrefixMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The kernel's IPv4 unicast routes, asked by longest prefix.
#[derive(Clone, Debug, Default)]
pub struct Rib {
    /// Shared by copies: a host with a full table is asked what a change would do, too.
    v4: Arc<PrefixMap<Ipv4Net, BTreeSet<Route>>>,
}

impl Rib {
    /// Adds a route; the same one again changes nothing.
    pub fn insert(&mut self, route: Route) {
        if let IpNet::V4(net) = route.net {
            let v4 = Arc::make_mut(&mut self.v4);
            match v4.get_mut(&net) {
                Some(routes) => {
                    routes.insert(route);
                }
                None => {
                    v4.insert(net, BTreeSet::from([route]));
                }
            }
        }
    }

    /// Removes a route; one that is not there changes nothing.
    pub fn remove(&mut self, route: &Route) {
        if let IpNet::V4(net) = route.net
            && let v4 = Arc::make_mut(&mut self.v4)
            && let Some(routes) = v4.get_mut(&net)
        {
            routes.remove(route);
            if routes.is_empty() {
                v4.remove(&net);
            }
        }
    }

    /// Removes every route over an interface that has vanished.
    pub fn remove_interface(&mut self, oif: IfIndex) {
        let gone: Vec<Route> =
            self.v4.values().flatten().filter(|route| route.oif == Some(oif)).copied().collect();
        for route in gone {
            self.remove(&route);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.v4 = Arc::default();
    }

    /// The best route to an address: longest prefix, then smallest metric.
    pub fn lookup(&self, address: Ipv4Addr) -> Option<&Route> {
        let (_, routes) = self.v4.get_lpm(&Ipv4Net::from(address))?;
        routes.iter().min_by_key(|route| route.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(net: &str, oif: u32, metric: u32) -> Route {
        Route {
            net: net.parse().expect("net"),
            oif: Some(IfIndex(oif)),
            gateway: None,
            metric,
            table: 254,
        }
    }

    #[test]
    fn longest_prefix_then_smallest_metric() {
        let mut rib = Rib::default();
        let address = Ipv4Addr::new(10, 1, 2, 3);
        assert_eq!(rib.lookup(address), None);
        for r in
            [route("0.0.0.0/0", 1, 0), route("10.1.0.0/16", 2, 20), route("10.1.0.0/16", 3, 10)]
        {
            rib.insert(r);
        }
        let oif = |rib: &Rib| rib.lookup(address).and_then(|route| route.oif);
        assert_eq!(oif(&rib), Some(IfIndex(3)));
        rib.remove(&route("10.1.0.0/16", 3, 10));
        assert_eq!(oif(&rib), Some(IfIndex(2)));
        rib.remove_interface(IfIndex(2));
        assert_eq!(oif(&rib), Some(IfIndex(1)));
        rib.clear();
        assert_eq!(oif(&rib), None);
    }
}
