//! `InvokeEndpointWithResponseStream`: what the container answers, as it comes.

use super::{error, invoke};
use crate::service::{Body, Service};
use crate::serving::{self, Stream, StreamError};
use belljar_aws::{AwsError, event_stream};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

const ACCEPT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-accept");
const PAYLOAD_TYPE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-content-type");

pub(super) async fn invoke(
    service: &Service,
    input: Value,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, AwsError> {
    let (name, routes) = invoke::find(service, &input)?;
    let request = invoke::request(input, headers, ACCEPT, body)?;
    let stream = serving::open(&service.endpoints, &name, &request).await;
    let mut stream =
        stream.map_err(|failure| error::of(&failure, service, &name, routes.as_deref()))?;
    let variant = std::mem::take(&mut stream.variant);
    let (kind, attributes) = (stream.content_type.take(), stream.custom_attributes.take());
    let events = Events { stream, waiting: Bytes::new(), ended: false };
    let mut response = Response::new(events.map_err(|never| match never {}).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    invoke::head(headers, &variant, attributes);
    if let Some(kind) = kind {
        headers.insert(PAYLOAD_TYPE, kind);
    }
    Ok(response)
}

/// A body of events, one for what the container sent at once.
struct Events {
    stream: Stream,
    /// What did not go into one event.
    waiting: Bytes,
    ended: bool,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.waiting.is_empty() {
            match ready!(self.stream.poll_next(cx)) {
                Some(Ok(bytes)) => self.waiting = bytes,
                end => {
                    self.ended = true;
                    let error = end.and_then(Result::err);
                    return Poll::Ready(error.map(|e| Ok(Frame::data(broken(e)))));
                }
            }
        }
        let length = self.waiting.len().min(event_stream::MAX_PAYLOAD);
        let part = self.waiting.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(event_stream::event("PayloadPart", &part)))))
    }
}

/// `ModelStreamError`, the last event. Source: service model (`ErrorCode`).
fn broken(error: StreamError) -> Bytes {
    let (code, text) = match error {
        StreamError::TimedOut => {
            ("ModelInvocationTimeExceeded", "The model did not finish its response in time.")
        }
        StreamError::Broken => ("StreamBroken", "The connection to the model broke."),
    };
    event_stream::exception("ModelStreamError", &json!({"Message": text, "ErrorCode": code}))
}
