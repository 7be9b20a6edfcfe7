//! Bodies, in and out, without holding them.

use super::error::{custom, error, fault, invalid_request};
use belljar_store::objects::{Chunks, Incoming, Received};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Receives a body of at most `most` bytes, and of exactly `announced` if that is known.
pub(super) async fn receive(
    mut incoming: Incoming,
    body: Option<StreamingBlob>,
    announced: Option<i64>,
    most: u64,
) -> S3Result<Received> {
    let announced = announced.map(|length| u64::try_from(length).unwrap_or(0));
    let too_large = || {
        let message = "Your proposed upload exceeds the maximum allowed size";
        Err(error(S3ErrorCode::EntityTooLarge, message))
    };
    if announced.is_some_and(|length| length > most) {
        return too_large();
    }
    let mut body = body;
    while let Some(stream) = &mut body
        && let Some(bytes) = stream.next().await
    {
        incoming.push(bytes.map_err(|e| broken(&e.to_string()))?).await.map_err(fault)?;
        if incoming.size() > most {
            return too_large();
        }
    }
    if announced.is_some_and(|length| length != incoming.size()) {
        return Err(incomplete());
    }
    incoming.finish().await.map_err(fault)
}

fn incomplete() -> S3Error {
    let message =
        "You did not provide the number of bytes specified by the Content-Length HTTP header";
    error(S3ErrorCode::IncompleteBody, message)
}

/// A body that ended in an error. s3s does not export the types of these, only their words.
fn broken(words: &str) -> S3Error {
    if words.contains("Sha256Mismatch") {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return custom(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message);
    }
    if words.contains("SignatureMismatch") {
        return error(
            S3ErrorCode::SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided.",
        );
    }
    if let Some(refused) = super::chunked::refusal(words) {
        return custom(StatusCode::BAD_REQUEST, "InvalidChunkSizeError", refused);
    }
    if words.contains("FormatError") || words.contains("Trailer") || words.contains("ChunkMeta") {
        return invalid_request("The body of the request is not well-formed aws-chunked data.");
    }
    incomplete()
}

/// An object's bytes on their way to a client.
pub(super) struct Outgoing(pub(super) Chunks);

impl Stream for Outgoing {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx).map(|next| next.map(|bytes| bytes.map_err(StdError::from)))
    }
}

impl ByteStream for Outgoing {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.0.left()).unwrap_or(usize::MAX))
    }
}
