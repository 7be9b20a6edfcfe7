//! Sets of small numbers, as bits.

/// A set of numbers below a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn none(limit: usize) -> Self {
        Self(vec![0; limit.div_ceil(64)])
    }

    pub(super) fn all(limit: usize) -> Self {
        let mut bits = Self::none(limit);
        bits.fill(0, limit);
        bits
    }

    /// Adds the numbers from one to below another.
    pub(super) fn fill(&mut self, from: usize, to: usize) {
        self.masks(from, to, |word, mask| *word |= mask);
    }

    /// Takes the numbers from one to below another away.
    pub(super) fn clear(&mut self, from: usize, to: usize) {
        self.masks(from, to, |word, mask| *word &= !mask);
    }

    fn masks(&mut self, from: usize, to: usize, change: impl Fn(&mut u64, u64)) {
        if from >= to {
            return;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        for place in first..=last {
            let low = if place == first { u64::MAX << (from % 64) } else { u64::MAX };
            let high = if place == last { u64::MAX >> (63 - (to - 1) % 64) } else { u64::MAX };
            change(&mut self.0[place], low & high);
        }
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn meet(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(place, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(place * 64 + bit)
            })
        })
    }
}

/// Turns columns into rows: as many sets as there are numbers.
pub(super) fn transposed(columns: &[Bits]) -> Vec<Bits> {
    let size = columns.len();
    let mut rows = vec![Bits::none(size); size];
    for across in 0..size.div_ceil(64) {
        for down in 0..size.div_ceil(64) {
            let mut block = [0; 64];
            for (line, word) in block.iter_mut().enumerate() {
                *word = columns.get(across * 64 + line).map_or(0, |c| c.0[down]);
            }
            transpose(&mut block);
            for (line, word) in block.iter().enumerate() {
                if let Some(row) = rows.get_mut(down * 64 + line) {
                    row.0[across] = *word;
                }
            }
        }
    }
    rows
}

/// Of 64 times 64 bits: halves are exchanged, then quarters, and so on (Warren, "Hacker's
/// Delight", 7-3).
fn transpose(block: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_ffff_ffff_u64);
    while width != 0 {
        let mut line = 0;
        while line < 64 {
            let swap = (block[line] >> width ^ block[line + width]) & mask;
            block[line] ^= swap << width;
            block[line + width] ^= swap;
            line = (line + width + 1) & !width;
        }
        width >>= 1;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn ranges_are_what_they_say(from in 0_usize..200, to in 0_usize..200) {
            let mut bits = Bits::none(200);
            bits.fill(from, to);
            let expected: Vec<usize> = (from..to).collect();
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(bits.count(), expected.len());
            bits.clear(0, to.min(200));
            prop_assert!(bits.is_empty());
        }

        #[test]
        fn rows_are_columns_turned(size in 1_usize..150, seed: u64) {
            let mut dice = crate::sample::Dice::new(seed);
            let mut columns = vec![Bits::none(size); size];
            for column in &mut columns {
                for number in 0..size {
                    if dice.one_in(3) {
                        column.fill(number, number + 1);
                    }
                }
            }
            let rows = transposed(&columns);
            for (x, column) in columns.iter().enumerate() {
                for (y, row) in rows.iter().enumerate() {
                    prop_assert_eq!(column.has(y), row.has(x));
                }
            }
        }
    }
}
