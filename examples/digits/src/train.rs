//! `train`: from the channels to a model, with what it reaches on held-out rows.

use crate::contract::{Hyperparameters, OptMl};
use crate::data::Rows;
use crate::model::Model;
use crate::phone_home;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Instant;
use std::{fs, process, thread};

/// Classes of the data set.
const DIGITS: usize = 10;

/// What a shell would say of a program that TERM ended.
const STOPPED: i32 = 128 + SIGTERM;

/// Runs the training job.
pub(crate) fn run(opt_ml: &OptMl) -> Result<(), Box<dyn Error>> {
    stop_on_term()?;
    let chosen = Hyperparameters::read(opt_ml)?;
    println!(
        "hyperparameters: trees={} depth={} seed={} phone_home={}",
        chosen.trees, chosen.depth, chosen.seed, chosen.phone_home
    );
    if chosen.phone_home {
        for (purpose, target) in phone_home::TARGETS {
            println!("{} ({purpose})", phone_home::call(target));
        }
    }
    learn(opt_ml, chosen)
}

/// The first process of a container ignores TERM unless it says otherwise.
fn stop_on_term() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            println!("stopped by TERM");
            process::exit(STOPPED);
        }
    });
    Ok(())
}

fn learn(opt_ml: &OptMl, chosen: Hyperparameters) -> Result<(), Box<dyn Error>> {
    let rows = Rows::read_channel(&opt_ml.channel("train"))?;
    println!("train_rows={}", rows.labels.len());
    let began = Instant::now();
    let model = Model::fit(rows, chosen)?;
    println!("learnt in {:.2} s", began.elapsed().as_secs_f64());

    let held_out = opt_ml.channel("test");
    if held_out.is_dir() {
        let rows = Rows::read_channel(&held_out)?;
        let found = model.predict(rows.features)?;
        let confusion = Confusion::count(&rows.labels, &found)?;
        println!("test_rows={}", rows.labels.len());
        println!("accuracy={:.4}", confusion.accuracy());
        let path = opt_ml.output("confusion.csv");
        fs::write(&path, confusion.to_csv())
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    } else {
        println!("no channel `test`: the accuracy is not measured");
    }
    model.save(&opt_ml.model())?;
    Ok(())
}

/// How often digit `[truth]` was read as `[found]`.
#[derive(Debug, PartialEq, Eq)]
struct Confusion([[u32; DIGITS]; DIGITS]);

/// A label that is no digit.
#[derive(Debug, thiserror::Error)]
#[error("label {0} is not a digit from 0 to 9")]
struct NotADigit(u32);

impl Confusion {
    fn count(truth: &[u32], found: &[u32]) -> Result<Self, NotADigit> {
        let mut counts = [[0; DIGITS]; DIGITS];
        for (&t, &f) in truth.iter().zip(found) {
            let row = counts.get_mut(t as usize).ok_or(NotADigit(t))?;
            *row.get_mut(f as usize).ok_or(NotADigit(f))? += 1;
        }
        Ok(Self(counts))
    }

    fn accuracy(&self) -> f64 {
        let right: u32 = (0..DIGITS).map(|i| self.0[i][i]).sum();
        let all: u32 = self.0.iter().flatten().sum();
        f64::from(right) / f64::from(all.max(1))
    }

    fn to_csv(&self) -> String {
        let mut text = String::from("truth");
        for digit in 0..DIGITS {
            let _infallible = write!(text, ",read_as_{digit}");
        }
        text.push('\n');
        for (digit, row) in self.0.iter().enumerate() {
            let _infallible = write!(text, "{digit}");
            for count in row {
                let _infallible = write!(text, ",{count}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A folder as Belljar would make it, with the real data set.
    fn job(dir: &Path) -> OptMl {
        for folder in ["input/data/train", "input/data/test", "model", "output/data"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        for channel in ["train", "test"] {
            let name = format!("{channel}.csv");
            fs::copy(data.join(&name), dir.join("input/data").join(channel).join(&name)).unwrap();
        }
        OptMl::at(dir)
    }

    fn few_trees() -> Hyperparameters {
        Hyperparameters { trees: 10, ..Hyperparameters::default() }
    }

    #[test]
    fn it_learns_to_read_digits_and_the_model_can_be_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let opt_ml = job(dir.path());
        learn(&opt_ml, few_trees()).unwrap();
        let model = Model::load(&opt_ml.model()).unwrap();
        let rows = Rows::read_channel(&opt_ml.channel("test")).unwrap();
        let found = model.predict(rows.features).unwrap();
        let confusion = Confusion::count(&rows.labels, &found).unwrap();
        assert!(confusion.accuracy() > 0.9, "{}", confusion.accuracy());
        assert_eq!(fs::read_to_string(opt_ml.output("confusion.csv")).unwrap(), confusion.to_csv());
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let train = |seed| {
            let dir = tempfile::tempdir().unwrap();
            let opt_ml = job(dir.path());
            learn(&opt_ml, Hyperparameters { seed, trees: 3, ..few_trees() }).unwrap();
            fs::read(opt_ml.model()).unwrap()
        };
        assert!(train(1) == train(1));
        assert!(train(1) != train(2));
    }

    #[test]
    fn a_missing_channel_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = learn(&OptMl::at(dir.path()), few_trees()).unwrap_err().to_string();
        assert!(error.contains("input/data/train"), "{error}");
    }

    #[test]
    fn confusion_counts_and_refuses_what_is_no_digit() {
        let confusion = Confusion::count(&[1, 1, 2, 3], &[1, 7, 2, 3]).unwrap();
        assert!((confusion.accuracy() - 0.75).abs() < 1e-9);
        assert!(confusion.to_csv().contains("\n1,0,1,0,0,0,0,0,1,0,0\n"));
        assert!(Confusion::count(&[10], &[1]).is_err());
    }
}
