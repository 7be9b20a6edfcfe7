//! Which combinations of a channel's members mean something (botocore, shape `Channel`).

use super::{Channel, Compression, DataType, InputMode, RecordWrapper};
use crate::{ChannelName, limits};

/// Why channels are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A member that means something in Pipe mode only.
    #[error("channel '{channel}': {what} is served in Pipe mode only")]
    PipeOnly {
        /// The channel.
        channel: ChannelName,
        /// The member and its value.
        what: &'static str,
    },
    /// `AttributeNames` without an augmented manifest.
    #[error("channel '{0}': AttributeNames are for an AugmentedManifestFile only")]
    NeedlessAttributes(ChannelName),
    /// An augmented manifest without `AttributeNames`.
    #[error("channel '{0}': an AugmentedManifestFile needs AttributeNames")]
    NoAttributes(ChannelName),
    /// Too many, too long, or empty.
    #[error("channel '{0}': AttributeNames must be at most 16 names of 1 to 256 bytes")]
    Attributes(ChannelName),
    /// A compressed augmented manifest: its objects are streamed as they are.
    #[error("channel '{0}': CompressionType Gzip is not served for an AugmentedManifestFile")]
    CompressedAttributes(ChannelName),
    /// `train` in Pipe mode, and another channel called `train_0`.
    #[error("channels '{pipe}' and '{other}' would have the same name for their data")]
    Clash {
        /// The one in Pipe mode.
        pipe: ChannelName,
        /// The other.
        other: ChannelName,
    },
}

/// Whether each channel by itself, and all together, can be served.
///
/// # Errors
/// If not; the text names channel and member.
pub fn check_channels(channels: &[Channel]) -> Result<(), ChannelError> {
    for channel in channels {
        check(channel)?;
        if channel.input_mode == InputMode::Pipe {
            let mut others = channels.iter().filter(|c| !std::ptr::eq(*c, channel));
            if let Some(other) = others.find(|o| is_fifo(&channel.name, &o.name)) {
                let (pipe, other) = (channel.name.clone(), other.name.clone());
                return Err(ChannelError::Clash { pipe, other });
            }
        }
    }
    Ok(())
}

/// Whether `other` is, or begins like, a FIFO of `pipe`.
fn is_fifo(pipe: &ChannelName, other: &ChannelName) -> bool {
    let epoch = other.as_str().strip_prefix(pipe.as_str()).and_then(|rest| rest.strip_prefix('_'));
    epoch.is_some_and(|e| e.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

fn check(channel: &Channel) -> Result<(), ChannelError> {
    let name = || channel.name.clone();
    let augmented = channel.data_type == DataType::AugmentedManifestFile;
    if channel.input_mode == InputMode::File {
        let what = if augmented {
            Some("S3DataType AugmentedManifestFile")
        } else if channel.compression != Compression::None {
            Some("CompressionType Gzip")
        } else if channel.record_wrapper != RecordWrapper::None {
            Some("RecordWrapperType RecordIO")
        } else {
            None
        };
        if let Some(what) = what {
            return Err(ChannelError::PipeOnly { channel: name(), what });
        }
    }
    let names = &channel.attribute_names;
    let in_bounds = |n: &String| (1..=limits::MAX_ATTRIBUTE_NAME).contains(&n.len());
    match augmented {
        false if !names.is_empty() => Err(ChannelError::NeedlessAttributes(name())),
        true if names.is_empty() => Err(ChannelError::NoAttributes(name())),
        _ if names.len() > limits::MAX_ATTRIBUTE_NAMES || !names.iter().all(in_bounds) => {
            Err(ChannelError::Attributes(name()))
        }
        true if channel.compression != Compression::None => {
            Err(ChannelError::CompressedAttributes(name()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::files(name.parse().unwrap(), "s3://bucket/x")
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        let refused = |edit: &dyn Fn(&mut Channel)| {
            let mut c = channel("train");
            edit(&mut c);
            check_channels(&[c]).map_err(|e| e.to_string())
        };
        for (edit, word) in [
            (
                &(|c: &mut Channel| c.compression = Compression::Gzip) as &dyn Fn(&mut Channel),
                "Gzip",
            ),
            (&|c| c.record_wrapper = RecordWrapper::RecordIO, "RecordIO"),
            (&|c| c.data_type = DataType::AugmentedManifestFile, "AugmentedManifestFile"),
            (&|c| c.attribute_names.push("a".into()), "AttributeNames"),
        ] {
            let text = refused(edit).unwrap_err();
            assert!(text.contains("'train'") && text.contains(word), "{text}");
        }
        let augmented = |names: &[&str]| {
            refused(&|c| {
                c.input_mode = InputMode::Pipe;
                c.data_type = DataType::AugmentedManifestFile;
                c.attribute_names = names.iter().map(|n| (*n).to_owned()).collect();
            })
        };
        assert_eq!(augmented(&["image-ref", "label"]), Ok(()));
        for bad in [&[][..], &[""], &["x"; 17]] {
            augmented(bad).unwrap_err();
        }
        assert_eq!(refused(&|c| c.shuffle_seed = Some(1)), Ok(()));
    }

    #[test]
    fn a_folder_where_a_fifo_will_be_is_refused() {
        let mut pipe = channel("train");
        pipe.input_mode = InputMode::Pipe;
        for (other, clashes) in [("train_0", true), ("train_12x", true), ("train_x", false)] {
            let both = [pipe.clone(), channel(other)];
            assert_eq!(check_channels(&both).is_err(), clashes, "{other}");
        }
        assert_eq!(check_channels(&[channel("train"), channel("train_0")]), Ok(()));
    }
}
