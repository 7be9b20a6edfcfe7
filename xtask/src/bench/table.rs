//! One line for each ratio.

use super::sample::Samples;
use std::fmt;

/// The first lines of the table: medians, with the minimum in brackets.
pub(crate) const HEAD: &str = "\
what                           Belljar             peer                             ratio  target
-----------------------------  ------------------  -------------------------------  -----  ------";

/// What is compared.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: Samples,
    pub(crate) against: Against,
}

/// With what.
pub(crate) enum Against {
    /// Our time as a multiple of the peer's; the multiple should be at most this.
    Overhead { peer: &'static str, samples: Samples, at_most: Option<f64> },
    /// The peer's time as a multiple of ours; the multiple should be at least this.
    Speed { peer: &'static str, samples: Samples, at_least: f64 },
    /// Our rate as a multiple of the peer's; the multiple should be at least this.
    Rate { peer: &'static str, samples: Samples, at_least: Option<f64> },
    /// A fixed limit for the median.
    Limit(f64),
}

impl Row {
    fn numbers(&self, s: &Samples) -> String {
        format!("{:.1} {} ({:.1})", s.median(), self.unit, s.min())
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = self.numbers(&self.ours);
        let (peer, ratio, target) = match &self.against {
            Against::Overhead { peer, samples, at_most } => {
                let ratio = self.ours.median() / samples.median();
                let target = at_most.map_or_else(String::new, |limit| {
                    format!("<= {limit:.1}: {}", verdict(ratio <= limit))
                });
                (format!("{peer} {}", self.numbers(samples)), format!("{ratio:.2}"), target)
            }
            Against::Speed { peer, samples, at_least } => {
                let ratio = samples.median() / self.ours.median();
                let target = format!(">= {at_least:.1}: {}", verdict(ratio >= *at_least));
                (format!("{peer} {}", self.numbers(samples)), format!("{ratio:.2}"), target)
            }
            Against::Rate { peer, samples, at_least } => {
                let ratio = self.ours.median() / samples.median();
                let target = at_least.map_or_else(String::new, |limit| {
                    format!(">= {limit}: {}", verdict(ratio >= limit))
                });
                (format!("{peer} {}", self.numbers(samples)), format!("{ratio:.2}"), target)
            }
            Against::Limit(limit) => {
                let met = verdict(self.ours.median() <= *limit);
                let ninety = format!("(90 % within {:.1})", self.ours.p90());
                (ninety, String::new(), format!("<= {limit:.0} {}: {met}", self.unit))
            }
        };
        let runs = self.ours.count();
        write!(f, "{:<30} {ours:<19} {peer:<32} {ratio:>5}  {target} ({runs} runs)", self.what)
    }
}
