//! The order of an epoch: the same for the same seed and epoch, whatever the machine.

/// `0..count` in the order of `epoch`; without a seed as they are.
pub(super) fn order(count: usize, seed: Option<u64>, epoch: u64) -> Vec<u32> {
    // A channel has at most a million objects.
    let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    if let Some(seed) = seed {
        let mut state = mix(mix(seed) ^ epoch);
        for last in (1..order.len()).rev() {
            state = state.wrapping_add(STEP);
            order.swap(last, below(mix(state), last + 1));
        }
    }
    order
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number below `bound`, by the upper half of the product: its bias is beyond notice for so few.
fn below(random: u64, bound: usize) -> usize {
    let product = u128::from(random) * bound as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}

/// Sebastiano Vigna's splitmix64, its mixing step (public domain).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_epoch_give_the_same_order_and_others_another() {
        assert_eq!(order(5, None, 3), [0, 1, 2, 3, 4]);
        let first = order(100, Some(7), 0);
        assert_eq!(first, order(100, Some(7), 0));
        assert_ne!(first, order(100, Some(7), 1));
        assert_ne!(first, order(100, Some(8), 0));
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, order(100, None, 0));
        assert_eq!(order(0, Some(1), 0), [0; 0]);
    }

    #[test]
    fn every_place_is_as_likely_as_every_other() {
        let firsts = (0..4000).map(|epoch| order(4, Some(1), epoch)[0]);
        let mut counts = [0; 4];
        firsts.for_each(|f| counts[f as usize] += 1);
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }
}
