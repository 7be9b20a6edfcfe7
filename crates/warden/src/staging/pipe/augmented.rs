//! Augmented manifests: JSON Lines, of which each names its data or is it (Developer Guide,
//! "Augmented Manifest File Format for Pipe Mode Training").

use super::entries::Entry;
use crate::staging::error::{FileError, InputError};
use crate::staging::limits;
use crate::staging::manifest::exactly;
use crate::staging::reading::{Clients, Place};
use crate::staging::s3::S3Settings;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The lines of a manifest, in a file without a name.
pub(super) struct Augmented {
    uri: String,
    names: Vec<String>,
    /// Whether it lies in S3: it may then name nothing of this machine's.
    in_s3: bool,
    file: File,
    /// Where each line that is not blank begins, and how long it is.
    lines: Vec<(u64, u32)>,
}

impl Augmented {
    /// Fetches the manifest at `uri` into a file below `private`, and checks every line.
    pub(super) async fn fetch(
        settings: &S3Settings,
        uri: &str,
        names: &[String],
        private: &Path,
    ) -> Result<Self, InputError> {
        let manifest = exactly(uri)?;
        let in_s3 = matches!(manifest.place, Place::S3 { .. });
        let file = nameless(private)?;
        let mut opened = Clients::new(settings).open(manifest).await?;
        let mut this =
            Self { uri: uri.to_owned(), names: names.to_owned(), in_s3, file, lines: Vec::new() };
        if opened.size > limits::MAX_AUGMENTED_BYTES {
            return Err(
                this.wrong(format!("it has more than {} bytes", limits::MAX_AUGMENTED_BYTES))
            );
        }
        while let Some(chunk) = opened.chunks.next().await {
            let kept = this.file.write_all(&chunk?);
            kept.map_err(|e| FileError::new("keep a copy of", uri, e))?;
        }
        tokio::task::spawn_blocking(move || this.index()).await.map_err(|_| InputError::Broken)?
    }

    fn wrong(&self, reason: impl Into<String>) -> InputError {
        InputError::Manifest { uri: self.uri.clone(), reason: reason.into() }
    }

    /// Finds the lines and checks them, so that a mistake shows before the container starts.
    fn index(mut self) -> Result<Self, InputError> {
        let unreadable = |e| FileError::new("read the copy of", "a manifest", e);
        self.file.rewind().map_err(unreadable)?;
        let copy = self.file.try_clone().map_err(unreadable)?;
        let mut reader = BufReader::new(copy);
        let (mut at, mut line) = (0, Vec::new());
        for number in 1.. {
            line.clear();
            let limit = limits::MAX_AUGMENTED_LINE as u64 + 1;
            let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
            let read = read.map_err(unreadable)? as u64;
            if read == 0 {
                break;
            }
            if read == limit {
                let limit = limits::MAX_AUGMENTED_LINE;
                return Err(self.wrong(format!("line {number} has more than {limit} bytes")));
            }
            if !line.trim_ascii().is_empty() {
                self.entries(&line)
                    .map_err(|reason| self.wrong(format!("line {number} {reason}")))?;
                self.lines.push((at, u32::try_from(read).unwrap_or(u32::MAX)));
            }
            if self.lines.len() > limits::MAX_INPUT_FILES {
                let limit = limits::MAX_INPUT_FILES;
                return Err(self.wrong(format!("it has more than {limit} lines")));
            }
            at += read;
        }
        if self.lines.is_empty() {
            return Err(self.wrong("it has no line"));
        }
        Ok(self)
    }

    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// The records of a line, by its place among those that are not blank.
    pub(super) fn line(&self, index: usize) -> Result<Vec<Entry>, InputError> {
        let Some((at, length)) = self.lines.get(index).copied() else {
            return Err(InputError::Broken);
        };
        let mut line = vec![0; length as usize];
        self.file
            .read_exact_at(&mut line, at)
            .map_err(|e| FileError::new("read the copy of", &self.uri, e))?;
        self.entries(&line).map_err(|reason| self.wrong(reason))
    }

    /// Or what is wrong with the line.
    fn entries(&self, line: &[u8]) -> Result<Vec<Entry>, String> {
        let line: Map<String, Value> =
            serde_json::from_slice(line).map_err(|e| format!("is no JSON object: {e}"))?;
        self.names.iter().map(|name| self.entry(name, line.get(name))).collect()
    }

    fn entry(&self, name: &str, value: Option<&Value>) -> Result<Entry, String> {
        let Some(value) = value else { return Err(format!("has no attribute '{name}'")) };
        if !name.ends_with("-ref") {
            // A text is streamed without its quotes, everything else as JSON.
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Ok(Entry::Inline(Bytes::from(text)));
        }
        let Some(uri) = value.as_str() else { return Err(format!("has no text in '{name}'")) };
        if self.in_s3 && !uri.starts_with("s3://") {
            return Err(format!("has something else than an s3:// URI in '{name}'"));
        }
        match exactly(uri) {
            Ok(object) => Ok(Entry::Object(object)),
            Err(e) => Err(format!("names no object in '{name}': {e}")),
        }
    }
}

/// A new file that is gone when it is closed.
pub(super) fn nameless(folder: &Path) -> Result<File, FileError> {
    let failed = |e| FileError::new("make a file in", folder, e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let path = folder.join(".nameless");
    // What a killed warden left.
    let _ = std::fs::remove_file(&path);
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fetch(text: &str, names: &[&str]) -> Result<Augmented, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join("image"), "x").unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let settings = S3Settings::default();
        let uri = path.to_str().unwrap();
        let fetched = Augmented::fetch(&settings, uri, &names, dir.path()).await;
        fetched.map_err(|e| e.to_string())
    }

    fn inline(entry: &Entry) -> String {
        match entry {
            Entry::Inline(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Entry::Object(o) => o.uri(),
        }
    }

    #[tokio::test]
    async fn attributes_come_in_the_order_that_was_asked_for() {
        let text = "{\"line\": \"Call me\", \"n\": 1, \"b\": {\"x\": [1]}, \"i-ref\": \"s3://bucket/i.jpg\"}\n\n{\"n\": null, \"line\": \"\", \"b\": true, \"i-ref\": \"s3://bucket/j\"}";
        let m = fetch(text, &["n", "line", "b", "i-ref"]).await.unwrap();
        assert_eq!(m.count(), 2);
        let line = |i| m.line(i).unwrap().iter().map(inline).collect::<Vec<_>>();
        assert_eq!(line(0), ["1", "Call me", "{\"x\":[1]}", "s3://bucket/i.jpg"]);
        assert_eq!(line(1), ["null", "", "true", "s3://bucket/j"]);
    }

    #[tokio::test]
    async fn a_mistake_is_named_with_its_line() {
        for (text, reason) in [
            ("", "no line"),
            ("{\"a\": 1}\n[1]", "line 2 is no JSON object"),
            ("{\"b\": 1}", "line 1 has no attribute 'a'"),
        ] {
            let error = fetch(text, &["a"]).await.err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
        for (text, reason) in [
            ("{\"i-ref\": 1}", "no text in 'i-ref'"),
            ("{\"i-ref\": \"s3://b\"}", "names no object"),
            ("{\"i-ref\": \"/not/there\"}", "nothing at"),
        ] {
            let error = fetch(text, &["i-ref"]).await.err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }
}
