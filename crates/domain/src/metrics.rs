//! Metrics by regular expression over what the container prints (Developer Guide, "Define
//! training metrics").

use crate::{MetricDefinition, Timestamp};
use serde::{Deserialize, Serialize};

/// One value, as in `FinalMetricDataList`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MetricDatum {
    /// The metric.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// When the line was read.
    pub at: Timestamp,
}

/// Every value that the definitions find in one line; group 1 of a match is the value. What is
/// not a finite number is no value.
#[must_use]
pub fn scan(definitions: &[MetricDefinition], line: &str, at: Timestamp) -> Vec<MetricDatum> {
    let mut found = Vec::new();
    for definition in definitions {
        for captures in definition.regex().captures_iter(line) {
            let value = captures.get(1).and_then(|m| m.as_str().trim().parse::<f64>().ok());
            if let Some(value) = value.filter(|v| v.is_finite()) {
                found.push(MetricDatum { name: definition.name().to_owned(), value, at });
            }
        }
    }
    found
}

/// Keeps the last value of each metric, in order of first appearance.
pub fn keep_last(last: &mut Vec<MetricDatum>, new: MetricDatum) {
    match last.iter_mut().find(|m| m.name == new.name) {
        Some(known) => *known = new,
        None => last.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_developer_guides_example() {
        let defs = [MetricDefinition::new("gan", "GAN_loss=(.*?);").unwrap()];
        let t = Timestamp::from_millis(0);
        let found =
            scan(&defs, "epoch 1 GAN_loss=0.138318; Scaled=2; GAN_loss=nan; GAN_loss=7;", t);
        let values: Vec<f64> = found.iter().map(|m| m.value).collect();
        assert_eq!(values, [0.138_318, 7.0]);
        let mut last = Vec::new();
        for m in found {
            keep_last(&mut last, m);
        }
        assert_eq!(last.len(), 1);
        assert!((last[0].value - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_regex_without_a_group_is_refused() {
        assert!(MetricDefinition::new("x", "loss=.*").is_err());
        assert!(MetricDefinition::new("x", "loss=(").is_err());
        assert!(MetricDefinition::new("", "(.)").is_err());
    }
}
