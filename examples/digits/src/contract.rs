//! The SageMaker training contract, as far as this program needs it: where files are, what the
//! hyperparameters are, and how a failure is reported.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the contract puts everything; another folder in tests.
#[derive(Debug)]
pub(crate) struct OptMl(PathBuf);

impl Default for OptMl {
    fn default() -> Self {
        Self::at("/opt/ml")
    }
}

impl OptMl {
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The folder of a channel; absent if the job has no such channel.
    pub(crate) fn channel(&self, name: &str) -> PathBuf {
        self.0.join("input/data").join(name)
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.0.join("model/model.json")
    }

    /// Becomes part of output.tar.gz.
    pub(crate) fn output(&self, file: &str) -> PathBuf {
        self.0.join("output/data").join(file)
    }

    fn hyperparameters(&self) -> PathBuf {
        self.0.join("input/config/hyperparameters.json")
    }

    fn failure(&self) -> PathBuf {
        self.0.join("output/failure")
    }

    /// Says why on standard error and, for the job's `FailureReason`, in `output/failure`.
    pub(crate) fn fail(&self, error: &dyn Error) -> ExitCode {
        let text = chain(error);
        eprintln!("digits: {text}");
        if self.failure().parent().is_some_and(Path::is_dir)
            && let Err(e) = fs::write(self.failure(), &text)
        {
            eprintln!("digits: cannot write {}: {e}", self.failure().display());
        }
        ExitCode::FAILURE
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What can be chosen for a training job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hyperparameters {
    /// Trees in the forest.
    pub(crate) trees: u16,
    /// How deep one tree may grow.
    pub(crate) depth: u16,
    /// Where randomness starts: the same seed gives the same model, byte for byte.
    pub(crate) seed: u64,
    /// Whether to try to reach the outside first, which is the point of the demonstration.
    pub(crate) phone_home: bool,
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self { trees: 60, depth: 16, seed: 42, phone_home: true }
    }
}

/// Why the hyperparameters were refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HyperparameterError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a JSON object of strings")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("unknown hyperparameter `{0}`; there are trees, depth, seed and phone_home")]
    Unknown(String),
    #[error("hyperparameter {name}=`{value}` must be {wanted}")]
    Invalid { name: &'static str, value: String, wanted: &'static str },
}

/// The contract sends a flat object whose values are all strings.
#[derive(Deserialize)]
#[serde(transparent)]
struct Sent(BTreeMap<String, String>);

impl Hyperparameters {
    /// Reads them; a job without any has `{}` or no file.
    pub(crate) fn read(opt_ml: &OptMl) -> Result<Self, HyperparameterError> {
        let path = opt_ml.hyperparameters();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(HyperparameterError::Read { path, source }),
        };
        match serde_json::from_slice::<Sent>(&text) {
            Ok(sent) => Self::parse(&sent.0),
            Err(source) => Err(HyperparameterError::Json { path, source }),
        }
    }

    fn parse(sent: &BTreeMap<String, String>) -> Result<Self, HyperparameterError> {
        let mut all = Self::default();
        for (name, value) in sent {
            let invalid =
                |name, wanted| HyperparameterError::Invalid { name, value: value.clone(), wanted };
            match name.as_str() {
                "trees" => {
                    all.trees = number(value, 1, 500)
                        .ok_or_else(|| invalid("trees", "a whole number from 1 to 500"))?;
                }
                "depth" => {
                    all.depth = number(value, 1, 64)
                        .ok_or_else(|| invalid("depth", "a whole number from 1 to 64"))?;
                }
                "seed" => {
                    all.seed = value
                        .parse()
                        .map_err(|_| invalid("seed", "a whole number from 0 to 2^64-1"))?;
                }
                "phone_home" => {
                    all.phone_home =
                        value.parse().map_err(|_| invalid("phone_home", "true or false"))?;
                }
                // Added by the SageMaker SDK to every job; meant for script-mode images.
                other if other.starts_with("sagemaker_") => {}
                other => return Err(HyperparameterError::Unknown(other.to_owned())),
            }
        }
        Ok(all)
    }
}

fn number(text: &str, least: u16, most: u16) -> Option<u16> {
    text.parse().ok().filter(|n| (least..=most).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Hyperparameters, String> {
        let sent = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Hyperparameters::parse(&sent).map_err(|e| e.to_string())
    }

    #[test]
    fn given_values_replace_the_defaults() {
        let all = parse(&[("trees", "7"), ("seed", "9"), ("sagemaker_region", "x")]).unwrap();
        assert_eq!(all, Hyperparameters { trees: 7, seed: 9, ..Hyperparameters::default() });
        assert!(!parse(&[("phone_home", "false")]).unwrap().phone_home);
    }

    #[test]
    fn unknown_and_invalid_ones_are_named() {
        assert!(parse(&[("tree", "7")]).unwrap_err().contains("unknown hyperparameter `tree`"));
        for bad in ["0", "501", "-1", "1.5", "", "many"] {
            assert!(parse(&[("trees", bad)]).unwrap_err().contains("trees"), "{bad}");
        }
        assert!(parse(&[("depth", "65")]).is_err());
        assert!(parse(&[("seed", "-1")]).is_err());
        assert!(parse(&[("phone_home", "yes")]).is_err());
    }

    #[test]
    fn the_failure_file_has_the_whole_chain() {
        let dir = tempfile::tempdir().unwrap();
        let opt_ml = OptMl::at(dir.path());
        fs::create_dir_all(dir.path().join("output")).unwrap();
        fs::create_dir_all(dir.path().join("input/config")).unwrap();
        fs::write(opt_ml.hyperparameters(), "[1]").unwrap();
        let error = Hyperparameters::read(&opt_ml).unwrap_err();
        opt_ml.fail(&error);
        let text = fs::read_to_string(opt_ml.failure()).unwrap();
        assert!(text.contains("is not a JSON object of strings: invalid type"), "{text}");
    }

    #[test]
    fn no_file_means_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let read = Hyperparameters::read(&OptMl::at(dir.path())).unwrap();
        assert_eq!(read, Hyperparameters::default());
    }
}
