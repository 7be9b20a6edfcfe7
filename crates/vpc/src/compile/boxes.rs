//! Elements of interval sets that do not overlap, as the kernel wants them: for each block, only
//! the numbers that no block around it already has.

use ipnet::IpNet;
use std::collections::BTreeMap;

/// Numbers from one to another, both included.
pub(crate) type Range = (u16, u16);

/// Numbers allowed, by block and by protocol.
pub(crate) type Boxes = BTreeMap<(u8, IpNet), Vec<Range>>;

/// Sorted, and without overlap: what touches is joined.
pub(crate) fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => out.push((first, last)),
        }
    }
    out
}

/// What is in `of` and not in `minus`; both are [`merged`].
fn without(of: &[Range], minus: &[Range]) -> Vec<Range> {
    let mut out = Vec::new();
    for &(first, last) in of {
        let mut from = u32::from(first);
        for &(a, b) in minus.iter().filter(|(a, b)| *b >= first && *a <= last) {
            if u32::from(a) > from {
                out.push((from as u16, a - 1));
            }
            from = from.max(u32::from(b) + 1);
        }
        if from <= u32::from(last) {
            out.push((from as u16, last));
        }
    }
    out
}

/// The same, so that no two overlap.
pub(crate) fn disjoint(boxes: &Boxes) -> Vec<(u8, IpNet, Range)> {
    let mut out = Vec::new();
    for ((protocol, block), ranges) in boxes {
        let around = boxes
            .iter()
            .filter(|((p, b), _)| p == protocol && b != block && b.contains(block))
            .flat_map(|(_, ranges)| ranges.iter().copied());
        let left = without(&merged(ranges.clone()), &merged(around.collect()));
        out.extend(left.into_iter().map(|range| (*protocol, *block, range)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_inner_block_has_what_the_outer_has_not() {
        let (outer, inner) = ("10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap());
        let boxes = BTreeMap::from([
            ((6, outer), vec![(80, 90), (91, 100)]),
            ((6, inner), vec![(85, 120), (1, 2)]),
        ]);
        let got = disjoint(&boxes);
        assert_eq!(got, [(6, outer, (80, 100)), (6, inner, (1, 2)), (6, inner, (101, 120))]);
    }

    proptest! {
        #[test]
        fn they_cover_the_same_and_never_overlap(
            all in prop::collection::vec((0u8..3, 0u32..16, 27u8..=32, 0u16..40, 0u16..40), 0..12)
        ) {
            let mut boxes = Boxes::new();
            for (protocol, address, length, a, b) in all {
                let net = ipnet::Ipv4Net::new_assert(address.into(), length).trunc();
                let range = (a.min(b), a.max(b));
                boxes.entry((protocol, net.into())).or_default().push(range);
            }
            let apart = disjoint(&boxes);
            for protocol in 0..3u8 {
                for address in 0..16u32 {
                    let at = std::net::IpAddr::from(std::net::Ipv4Addr::from(address));
                    for port in 0..41u16 {
                        let meant = boxes.iter().any(|((p, net), ranges)| {
                            *p == protocol && net.contains(&at)
                                && ranges.iter().any(|(a, b)| (*a..=*b).contains(&port))
                        });
                        let hits = apart.iter().filter(|(p, net, (a, b))| {
                            *p == protocol && net.contains(&at) && (*a..=*b).contains(&port)
                        });
                        prop_assert_eq!(hits.count(), usize::from(meant));
                    }
                }
            }
        }
    }
}
