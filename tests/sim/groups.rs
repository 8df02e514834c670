//! What several want together (RFC 9776 section 3.2).

use crate::{exclude, include};
use mcr::types::Reception;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What two want together.
pub(crate) fn union(one: &Reception, other: &Reception) -> Reception {
    use Reception::{Exclude, Include};
    match (one, other) {
        (Include(one), Include(other)) => Include(one | other),
        (Exclude(one), Exclude(other)) => Exclude(one & other),
        (Include(wanted), Exclude(unwanted)) | (Exclude(unwanted), Include(wanted)) => {
            Exclude(unwanted - wanted)
        }
    }
}

/// What all want together, by group.
pub(crate) fn union_of(
    wishes: impl Iterator<Item = (Ipv4Addr, Reception)>,
) -> BTreeMap<Ipv4Addr, Reception> {
    let mut together: BTreeMap<_, Reception> = BTreeMap::new();
    for (group, wish) in wishes.filter(|(_, wish)| *wish != include(&[])) {
        let wish = together.get(&group).map_or(wish.clone(), |known| union(known, &wish));
        together.insert(group, wish);
    }
    together
}

#[test]
fn a_union_wants_what_one_of_them_wants() {
    let wishes = [include(&[]), include(&[1, 2]), exclude(&[]), exclude(&[1]), exclude(&[2, 3])];
    for one in &wishes {
        for other in &wishes {
            let both = union(one, other);
            for source in (0..5).map(crate::source) {
                assert_eq!(both.wants(source), one.wants(source) || other.wants(source));
            }
        }
    }
}
