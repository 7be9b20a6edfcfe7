//! The model: a random forest, as a file and as a function from images to digits.

use crate::contract::Hyperparameters;
use crate::data::{Rows, matrix};
use serde::{Deserialize, Serialize};
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

type Forest = RandomForestClassifier<f32, u32, DenseMatrix<f32>, Vec<u32>>;

/// Why a model could not be made, stored, loaded or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("cannot learn from these rows")]
    Fit(#[source] smartcore::error::Failed),
    #[error("cannot predict these rows")]
    Predict(#[source] smartcore::error::Failed),
    #[error("cannot write the model to {path}")]
    Save { path: PathBuf, source: std::io::Error },
    #[error("cannot read the model from {path}")]
    Load { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a model of this program")]
    Parse { path: PathBuf, source: serde_json::Error },
}

/// A trained model.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Model {
    forest: Forest,
}

impl Model {
    /// Learns. The same rows and hyperparameters give the same model.
    pub(crate) fn fit(rows: Rows, chosen: Hyperparameters) -> Result<Self, ModelError> {
        let parameters = RandomForestClassifierParameters::default()
            .with_n_trees(chosen.trees)
            .with_max_depth(chosen.depth)
            .with_seed(chosen.seed);
        let x = matrix(rows.features).map_err(ModelError::Fit)?;
        let forest = Forest::fit(&x, &rows.labels, parameters).map_err(ModelError::Fit)?;
        Ok(Self { forest })
    }

    /// The digit of each row.
    pub(crate) fn predict(&self, features: Vec<f32>) -> Result<Vec<u32>, ModelError> {
        let x = matrix(features).map_err(ModelError::Predict)?;
        self.forest.predict(&x).map_err(ModelError::Predict)
    }

    /// Stores it whole or not at all: a job that is stopped while it writes leaves no half model.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ModelError> {
        let part = path.with_extension("part");
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&part)?);
            serde_json::to_writer(&mut file, self)?;
            file.flush()?;
            fs::rename(&part, path)
        };
        write().map_err(|source| ModelError::Save { path: path.to_owned(), source })
    }

    /// Loads what [`Model::save`] stored.
    pub(crate) fn load(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path)
            .map_err(|source| ModelError::Load { path: path.to_owned(), source })?;
        serde_json::from_reader(BufReader::new(file))
            .map_err(|source| ModelError::Parse { path: path.to_owned(), source })
    }
}
