//! What a channel consists of, listed before anything is given to the container.

use super::error::InputError;
use super::limits;
use super::local::{self, Listing};
use super::location::Location;
use super::manifest;
use super::reading::{Object, Place};
use super::s3::S3Settings;
use super::s3_in::Source;
use belljar_domain::{Channel, DataType, InputMode, Shard};
use std::path::Path;
use std::sync::Arc;

/// The objects of a channel, in the order in which they are streamed.
pub(super) enum Inputs {
    /// Files.
    Local(Listing),
    /// Objects of one bucket.
    S3(Vec<Object>),
}

/// Lists what this instance gets of a channel that is no augmented manifest. In Pipe mode that is
/// all: each epoch is dealt out anew.
pub(super) async fn list(settings: &S3Settings, channel: &Channel) -> Result<Inputs, InputError> {
    let shard = match channel.input_mode {
        InputMode::File => channel.shard,
        InputMode::Pipe => None,
    };
    Ok(all(settings, channel).await?.part(shard))
}

async fn all(settings: &S3Settings, channel: &Channel) -> Result<Inputs, InputError> {
    let limit = listed(channel.shard);
    if channel.data_type == DataType::ManifestFile {
        return manifest::objects(settings, &channel.uri).await;
    }
    match channel.uri.parse()? {
        Location::Path(path) => {
            let listing = tokio::task::spawn_blocking(move || local::list(&path, limit));
            Ok(Inputs::Local(listing.await.map_err(|_| InputError::Broken)??))
        }
        Location::S3 { bucket, prefix } => {
            let as_files = channel.input_mode == InputMode::File;
            let source = Source { settings, bucket: &bucket, prefix: &prefix };
            Ok(Inputs::S3(source.list(as_files, limit).await?))
        }
    }
}

/// How many may be listed, so that the limit holds for what one instance gets.
fn listed(shard: Option<Shard>) -> usize {
    let parts = shard.map_or(1, |s| s.count);
    limits::MAX_INPUT_FILES.saturating_mul(parts).min(limits::MAX_LISTED)
}

/// Whether there is something to list: at most one request.
pub(super) async fn check(
    settings: &S3Settings,
    channel: &Channel,
    data_dir: &Path,
) -> Result<(), InputError> {
    match channel.uri.parse()? {
        Location::Path(path) => local::check(&path, data_dir),
        Location::S3 { bucket, prefix } => {
            Source { settings, bucket: &bucket, prefix: &prefix }.check().await
        }
    }
}

impl Inputs {
    /// What of them is in `shard`.
    fn part(self, shard: Option<Shard>) -> Self {
        match self {
            Self::S3(objects) => Self::S3(Shard::of(shard, objects)),
            Self::Local(listing) => Self::Local(listing.part(shard)),
        }
    }

    /// As objects.
    pub(super) fn objects(self) -> Vec<Object> {
        match self {
            Self::S3(objects) => objects,
            Self::Local(Listing { root, files, .. }) => {
                let root: Arc<Path> = root.into();
                let object = |item: super::copy::Item| Object {
                    place: Place::File { root: Arc::clone(&root), from: item.from },
                    name: item.name,
                    size: Some(item.size),
                };
                files.into_iter().map(object).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_listed_grows_with_the_parts_and_has_an_end() {
        let of = |count| listed((count > 0).then_some(Shard { index: 0, count }));
        assert_eq!(
            [of(0), of(1), of(3), of(20)],
            [1, 1, 3, 4].map(|n| n * limits::MAX_INPUT_FILES)
        );
    }
}
