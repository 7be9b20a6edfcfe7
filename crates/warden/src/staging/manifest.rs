//! Manifests: a JSON array that names the objects of a channel (botocore, `S3DataSource.S3Uri`).

use super::error::{FileError, InputError};
use super::limits;
use super::local::Listing;
use super::location::Location;
use super::names;
use super::reading::{Clients, Object, Place};
use super::s3::S3Settings;
use super::source::Inputs;
use futures_util::StreamExt;
use object_store::path::Path as Key;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Reads the manifest at `uri` and returns what it names, in its order.
pub(super) async fn objects(settings: &S3Settings, uri: &str) -> Result<Inputs, InputError> {
    let manifest = exactly(uri)?;
    let in_s3 = matches!(manifest.place, Place::S3 { .. });
    let bytes = read(settings, manifest, uri).await?;
    let (prefix, entries) = parse(&bytes).map_err(|reason| wrong(uri, reason))?;
    if in_s3 && !matches!(prefix.parse()?, Location::S3 { .. }) {
        return Err(wrong(uri, "its prefix must begin with s3://"));
    }
    let files = entries.into_iter().map(|entry| {
        let object = exactly(&format!("{prefix}{entry}"))?;
        let name = entry.trim_start_matches('/').to_owned();
        Ok(Object { name, ..object })
    });
    let objects: Vec<Object> = files.collect::<Result<_, InputError>>()?;
    match objects.first().map(|o| &o.place) {
        Some(Place::S3 { .. }) => Ok(Inputs::S3(objects)),
        _ => Ok(Inputs::Local(local(objects)?)),
    }
}

fn wrong(uri: &str, reason: impl Into<String>) -> InputError {
    InputError::Manifest { uri: uri.to_owned(), reason: reason.into() }
}

/// The object or file that `uri` names, and no other. A path is resolved, so that no link is left.
pub(super) fn exactly(uri: &str) -> Result<Object, InputError> {
    match uri.parse()? {
        Location::S3 { bucket, prefix } => {
            let key =
                Key::parse(&prefix).ok().filter(|k| !prefix.is_empty() && k.as_ref() == prefix);
            let key = key.ok_or_else(|| InputError::Name(uri.to_owned()))?;
            let name = names::relative(&prefix, &prefix).to_owned();
            let place = Place::S3 { bucket: bucket.into(), key, e_tag: None };
            Ok(Object { place, name, size: None })
        }
        Location::Path(path) => {
            let real = std::fs::canonicalize(&path).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => InputError::Nothing(uri.to_owned()),
                _ => FileError::new("open", &path, e).into(),
            })?;
            let size =
                std::fs::metadata(&real).map_err(|e| FileError::new("open", &path, e))?.len();
            let from = real.strip_prefix("/").unwrap_or(&real).to_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let place = Place::File { root: Arc::from(Path::new("/")), from };
            Ok(Object { place, name, size: Some(size) })
        }
    }
}

fn local(objects: Vec<Object>) -> Result<Listing, InputError> {
    let item = |o: Object| match o.place {
        Place::File { from, .. } => {
            Ok(super::copy::Item { from, name: o.name, size: o.size.unwrap_or(0) })
        }
        Place::S3 { .. } => Err(InputError::Broken),
    };
    let files = objects.into_iter().map(item).collect::<Result<_, _>>()?;
    Ok(Listing { root: "/".into(), folders: Vec::new(), files })
}

async fn read(settings: &S3Settings, manifest: Object, uri: &str) -> Result<Vec<u8>, InputError> {
    let mut opened = Clients::new(settings).open(manifest).await?;
    if opened.size > limits::MAX_MANIFEST_BYTES {
        let limit = limits::MAX_MANIFEST_BYTES;
        return Err(wrong(uri, format!("it has more than {limit} bytes")));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = opened.chunks.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

/// The prefix and what follows it in each name.
fn parse(bytes: &[u8]) -> Result<(String, Vec<String>), String> {
    const FIRST: &str = "it must be an array whose first element is an object with a 'prefix' alone, as in \
         [{\"prefix\": \"s3://bucket/folder/\"}, \"file-1\"]";
    let all: Vec<Value> = match serde_json::from_slice(bytes) {
        Ok(Value::Array(all)) => all,
        Ok(_) => return Err(FIRST.to_owned()),
        Err(e) => return Err(format!("it is not JSON: {e}")),
    };
    let mut all = all.into_iter();
    let prefix = match all.next() {
        Some(Value::Object(mut first)) => match (first.remove("prefix"), first.is_empty()) {
            (Some(Value::String(prefix)), true) if !prefix.is_empty() => prefix,
            _ => return Err(FIRST.to_owned()),
        },
        _ => return Err(FIRST.to_owned()),
    };
    let entry = |(at, value): (usize, Value)| match value {
        Value::String(name) if !name.is_empty() => Ok(name),
        Value::String(_) => Err(format!("element {at} is empty")),
        _ => Err(format!("element {at} is no string")),
    };
    let entries = (1..).zip(all).map(entry).collect::<Result<Vec<_>, _>>()?;
    match entries.len() {
        0 => Err("it names no object".to_owned()),
        n if n > limits::MAX_INPUT_FILES => {
            Err(format!("it names more than {} objects", limits::MAX_INPUT_FILES))
        }
        _ => Ok((prefix, entries)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_the_service_model() {
        let text = br#"[{"prefix": "s3://bucket/some/prefix/"}, "a/data-1", "data-2"]"#;
        let (prefix, entries) = parse(text).unwrap();
        assert_eq!(prefix, "s3://bucket/some/prefix/");
        assert_eq!(entries, ["a/data-1", "data-2"]);
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "not JSON"),
            ("{}", "array"),
            ("[]", "array"),
            ("[\"a\"]", "array"),
            (r#"[{"prefix": ""}, "a"]"#, "array"),
            (r#"[{"prefix": "s3://b/", "x": 1}, "a"]"#, "array"),
            (r#"[{"prefix": "s3://b/"}]"#, "names no object"),
            (r#"[{"prefix": "s3://b/"}, "a", 1]"#, "element 2 is no string"),
            (r#"[{"prefix": "s3://b/"}, ""]"#, "element 1 is empty"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
