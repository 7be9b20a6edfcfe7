//! Listings of objects and uploads.

use super::Backend;
use super::conditions::time;
use super::describe::etag;
use super::error::{fault, invalid_argument};
use belljar_store::objects::{Entry, Listing, MAX_LISTED, Query, UploadQuery};
use s3s::S3Result;
use s3s::dto::{
    CommonPrefix, EncodingType, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload,
    Object, Owner,
};
use std::fmt::Write as _;
use std::ops::Bound;

/// Encodes names for XML, if that was asked for: XML cannot say every character of a key.
#[derive(Clone, Copy)]
struct Names {
    url: bool,
}

impl Names {
    fn of(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    fn show(self, name: &str) -> String {
        if !self.url {
            return name.to_owned();
        }
        let mut shown = String::with_capacity(name.len());
        for byte in name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                    shown.push(char::from(byte));
                }
                other => {
                    let _ = write!(shown, "%{other:02X}");
                }
            }
        }
        shown
    }

    fn show_some(self, name: Option<&String>) -> Option<String> {
        name.map(|name| self.show(name))
    }
}

fn most(wanted: Option<i32>, what: &str) -> S3Result<usize> {
    let wanted = wanted.unwrap_or(1000);
    usize::try_from(wanted).map(|most| most.min(MAX_LISTED)).map_err(|_| {
        invalid_argument(format!("Argument {what} must be an integer between 0 and 2147483647"))
    })
}

fn count(of: usize) -> Option<i32> {
    i32::try_from(of).ok()
}

/// A token says where the next page begins, in digits, so that XML and URLs carry it as it is.
fn token(next: &[u8]) -> String {
    let mut text = String::from("1");
    for byte in next {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn parse_token(token: &str) -> S3Result<Vec<u8>> {
    let invalid = || invalid_argument("The continuation token provided is incorrect");
    let digits = token.strip_prefix('1').ok_or_else(invalid)?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(invalid);
    if digits.len() % 2 != 0 {
        return Err(invalid());
    }
    let pair =
        |pair: &[u8]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).map_err(|_| invalid());
    digits.chunks_exact(2).map(pair).collect()
}

impl Backend {
    fn owner(&self) -> Owner {
        Owner { display_name: None, id: Some(self.config.owner()) }
    }

    fn lines(
        listing: Listing,
        names: Names,
        owner: Option<&Owner>,
    ) -> (Vec<Object>, Vec<CommonPrefix>) {
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        for entry in listing.entries {
            match entry {
                Entry::Prefix(prefix) => {
                    prefixes.push(CommonPrefix { prefix: Some(names.show(&prefix)) });
                }
                Entry::Object { key, size, etag: value, modified, class } => {
                    objects.push(Object {
                        e_tag: Some(etag(&value)),
                        key: Some(if names.url { names.show(&key) } else { key }),
                        last_modified: Some(time(modified)),
                        owner: owner.cloned(),
                        size: i64::try_from(size).ok(),
                        storage_class: Some(class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
                        ..Object::default()
                    });
                }
            }
        }
        (objects, prefixes)
    }

    pub(super) fn list_objects(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let names = Names::of(input.encoding_type.as_ref())?;
        let limit = most(input.max_keys, "max-keys")?;
        let mut query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            from: None,
            limit,
        };
        if let Some(marker) = input.marker.as_deref().filter(|marker| !marker.is_empty()) {
            query.after_marker(marker);
        }
        let listing = self.objects.list(&input.bucket, &query).map_err(fault)?;
        let truncated = listing.next.is_some();
        let last = listing.entries.last().map(|entry| names.show(entry.name()));
        let (contents, prefixes) = Self::lines(listing, names, Some(&self.owner()));
        Ok(ListObjectsOutput {
            // Without a delimiter the last key is the next marker, and S3 does not repeat it.
            next_marker: last.filter(|_| truncated && !query.delimiter.is_empty()),
            name: Some(input.bucket),
            prefix: Some(names.show(&query.prefix)),
            marker: Some(names.show(input.marker.as_deref().unwrap_or_default())),
            max_keys: count(limit),
            is_truncated: Some(truncated),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            delimiter: names.show_some(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            request_charged: None,
        })
    }

    pub(super) fn list_objects_v2(
        &self,
        input: ListObjectsV2Input,
    ) -> S3Result<ListObjectsV2Output> {
        let names = Names::of(input.encoding_type.as_ref())?;
        let limit = most(input.max_keys, "max-keys")?;
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => Some(Bound::Included(parse_token(token)?)),
            (None, Some(after)) if !after.is_empty() => {
                Some(Bound::Excluded(after.clone().into_bytes()))
            }
            _ => None,
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            from,
            limit,
        };
        let listing = self.objects.list(&input.bucket, &query).map_err(fault)?;
        let next = listing.next.as_deref().map(token);
        let listed = listing.entries.len();
        let owner = input.fetch_owner.unwrap_or(false).then(|| self.owner());
        let (contents, prefixes) = Self::lines(listing, names, owner.as_ref());
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(names.show(&query.prefix)),
            max_keys: count(limit),
            key_count: count(listed),
            continuation_token: input.continuation_token,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            delimiter: names.show_some(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            start_after: names.show_some(input.start_after.as_ref()),
            request_charged: None,
        })
    }

    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(super::error::not_served("ListMultipartUploads with a delimiter"));
        }
        let names = Names::of(input.encoding_type.as_ref())?;
        let limit = most(input.max_uploads, "max-uploads")?;
        let marker = input.key_marker.clone().filter(|key| !key.is_empty());
        let query = UploadQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            after: marker.map(|key| (key, input.upload_id_marker.clone())),
            limit,
        };
        let page = self.objects.uploads(&input.bucket, &query).map_err(fault)?;
        let last = page.uploads.last().filter(|_| page.more);
        let next = last.map(|upload| (names.show(&upload.key), upload.id.clone()));
        let (next_key_marker, next_upload_id_marker) = next.unzip();
        let line = |upload: belljar_store::objects::Upload| MultipartUpload {
            checksum_algorithm: upload
                .meta
                .algorithm
                .map(|a| super::sums::name(a).to_owned().into()),
            checksum_type: None,
            initiated: Some(time(upload.begun)),
            initiator: Some(Initiator { display_name: None, id: Some(self.config.owner()) }),
            key: Some(names.show(&upload.key)),
            owner: Some(self.owner()),
            storage_class: Some(upload.meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
            upload_id: Some(upload.id),
        };
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(page.more),
            uploads: Some(page.uploads.into_iter().map(line).collect()),
            key_marker: Some(names.show(input.key_marker.as_deref().unwrap_or_default())),
            upload_id_marker: input.upload_id_marker,
            next_key_marker,
            next_upload_id_marker,
            max_uploads: count(limit),
            prefix: names.show_some(input.prefix.as_ref()),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for next in [b"".as_slice(), b"a/b", &[0xff, 0, 1]] {
            assert_eq!(parse_token(&token(next)).unwrap(), next);
        }
        for wrong in ["", "1a", "1zz", "2aa", "1\u{e4}"] {
            assert!(parse_token(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_in_xml() {
        let url = Names::of(Some(&EncodingType::from_static(EncodingType::URL))).unwrap();
        assert_eq!(url.show("a b/ä+\u{1}"), "a%20b/%C3%A4%2B%01");
        assert_eq!(Names { url: false }.show("a b"), "a b");
    }
}
