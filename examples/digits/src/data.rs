//! Labelled rows from CSV: the label first, then the features, no header, as SageMaker's own
//! algorithms take it.

use smartcore::linalg::basic::matrix::DenseMatrix;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Rows over all files of a channel. 64 features of 4 bytes each: 256 MB at most.
const MAX_ROWS: usize = 1_000_000;

/// Features in a row: the pixels of an 8×8 image.
pub(crate) const FEATURES: usize = 64;

/// Why rows could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} has no .csv file with a row in it")]
    Empty { path: PathBuf },
    #[error("{place} is not CSV")]
    Csv { place: String, source: csv::Error },
    #[error("{place} row {row} has {found} columns, not {wanted}")]
    Columns { place: String, row: usize, found: usize, wanted: usize },
    #[error("{place} row {row} column {column} is not a number in range: `{value}`")]
    Value { place: String, row: usize, column: usize, value: String },
    #[error("{place} has more than {MAX_ROWS} rows")]
    TooMany { place: String },
}

/// Rows of features with the label of each.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Rows {
    pub(crate) labels: Vec<u32>,
    /// Row after row, [`FEATURES`] each.
    pub(crate) features: Vec<f32>,
}

impl Rows {
    /// Reads every `.csv` file of a channel, in the order of their names, so that the result does
    /// not depend on the file system.
    pub(crate) fn read_channel(dir: &Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: dir.to_owned(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path.extension().is_some_and(|e| e == "csv") {
                files.push(path);
            }
        }
        files.sort();
        let mut rows = Self::default();
        for path in files {
            let file = File::open(&path)
                .map_err(|source| DataError::Read { path: path.clone(), source })?;
            rows.read_csv(&path.display().to_string(), file)?;
        }
        if rows.labels.is_empty() {
            return Err(DataError::Empty { path: dir.to_owned() });
        }
        Ok(rows)
    }

    fn read_csv(&mut self, place: &str, csv: impl Read) -> Result<(), DataError> {
        each_row(place, csv, FEATURES + 1, |row, record| {
            if self.labels.len() == MAX_ROWS {
                return Err(DataError::TooMany { place: place.to_owned() });
            }
            self.labels.push(field(place, row, record, 0)?);
            for column in 1..=FEATURES {
                self.features.push(pixel(place, row, record, column)?);
            }
            Ok(())
        })
    }
}

/// Reads rows without labels, as they are sent to `/invocations`.
pub(crate) fn read_features(place: &str, csv: impl Read) -> Result<Vec<f32>, DataError> {
    let mut features = Vec::new();
    each_row(place, csv, FEATURES, |row, record| {
        for column in 0..FEATURES {
            features.push(pixel(place, row, record, column)?);
        }
        Ok(())
    })?;
    if features.is_empty() {
        return Err(DataError::Empty { path: place.into() });
    }
    Ok(features)
}

/// Rows as the library's matrix.
pub(crate) fn matrix(features: Vec<f32>) -> Result<DenseMatrix<f32>, smartcore::error::Failed> {
    DenseMatrix::new(features.len() / FEATURES, FEATURES, features, false)
}

fn each_row(
    place: &str,
    csv: impl Read,
    wanted: usize,
    mut take: impl FnMut(usize, &csv::StringRecord) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(csv);
    let mut record = csv::StringRecord::new();
    let mut row = 0;
    while reader
        .read_record(&mut record)
        .map_err(|source| DataError::Csv { place: place.to_owned(), source })?
    {
        row += 1;
        if record.len() != wanted {
            let found = record.len();
            return Err(DataError::Columns { place: place.to_owned(), row, found, wanted });
        }
        take(row, &record)?;
    }
    Ok(())
}

fn pixel(
    place: &str,
    row: usize,
    record: &csv::StringRecord,
    column: usize,
) -> Result<f32, DataError> {
    let value: f32 = field(place, row, record, column)?;
    if value.is_finite() { Ok(value) } else { Err(bad_value(place, row, record, column)) }
}

fn field<T: std::str::FromStr>(
    place: &str,
    row: usize,
    record: &csv::StringRecord,
    column: usize,
) -> Result<T, DataError> {
    let text = record.get(column).unwrap_or_default();
    text.parse().map_err(|_| bad_value(place, row, record, column))
}

fn bad_value(place: &str, row: usize, record: &csv::StringRecord, column: usize) -> DataError {
    let value = record.get(column).unwrap_or_default().chars().take(40).collect();
    DataError::Value { place: place.to_owned(), row, column: column + 1, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: &str, rest: &str) -> String {
        format!("{first}{}\n", format!(",{rest}").repeat(FEATURES))
    }

    #[test]
    fn all_csv_files_of_a_channel_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.csv"), row("2", "0")).unwrap();
        fs::write(dir.path().join("a.csv"), row("1", "16")).unwrap();
        fs::write(dir.path().join("notes.txt"), "not data").unwrap();
        let rows = Rows::read_channel(dir.path()).unwrap();
        assert_eq!(rows.labels, [1, 2]);
        assert_eq!((rows.features[0], rows.features[FEATURES]), (16.0, 0.0));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let text = |csv: &str| {
            let mut rows = Rows::default();
            rows.read_csv("x.csv", csv.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(text("1,2\n"), "x.csv row 1 has 2 columns, not 65");
        let second = format!("{}{}", row("1", "0"), row("one", "0"));
        assert_eq!(text(&second), "x.csv row 2 column 1 is not a number in range: `one`");
        assert_eq!(text(&row("1", "inf")), "x.csv row 1 column 2 is not a number in range: `inf`");
        assert_eq!(text(&row("-1", "0")), "x.csv row 1 column 1 is not a number in range: `-1`");
    }

    #[test]
    fn a_channel_without_rows_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Rows::read_channel(dir.path()), Err(DataError::Empty { .. })));
        assert!(matches!(
            Rows::read_channel(&dir.path().join("absent")),
            Err(DataError::Read { .. })
        ));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(matches!(read_features("body", &b"\xff\xfe\n"[..]), Err(DataError::Csv { .. })));
        assert!(matches!(read_features("body", &b""[..]), Err(DataError::Empty { .. })));
    }
}
