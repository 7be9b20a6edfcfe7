//! Repeated measurements of one thing.

/// Values of one kind, in the order in which they were taken.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// None yet.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let (upper, lower) = (sorted.len() / 2, sorted.len().saturating_sub(1) / 2);
        match (sorted.get(lower), sorted.get(upper)) {
            (Some(a), Some(b)) => f64::midpoint(*a, *b),
            _ => f64::NAN,
        }
    }

    /// The smallest that at least nine of ten are not above.
    pub(crate) fn p90(&self) -> f64 {
        self.percentile(90)
    }

    /// The smallest that at least 99 of a hundred are not above.
    pub(crate) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let sorted = self.sorted();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let of = |values: &[f64]| Samples(values.to_vec()).median();
        assert!((of(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((of(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(of(&[]).is_nan());
    }

    #[test]
    fn nine_of_ten() {
        let all = (1..=20_u8).rev().map(f64::from).collect();
        assert!((Samples(all).p90() - 18.0).abs() < f64::EPSILON);
        assert!((Samples(vec![7.0]).p90() - 7.0).abs() < f64::EPSILON);
        assert!(Samples::none().p90().is_nan());
    }
}
