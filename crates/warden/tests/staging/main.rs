//! Staging: from and to local folders, and S3 in the shape of a small server on the loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod fake_s3;
mod keep;
mod local;
mod model;
mod pipe;
mod s3;
mod shard;
