//! What a container with several models is asked about them.

use super::LoadError;
use crate::serving::attempt::HOST_NAME;
use crate::serving::limits::{Limits, MAX_MODELS};
use crate::serving::pool::{self, Outgoing, SendError};
use crate::serving::read;
use crate::serving::table::Container;
use belljar_domain::serving::MODELS;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Answers to `GET /models` that are read.
const MAX_PAGES: usize = 1000;

/// `POST /models`.
pub(super) async fn load(
    container: &Container,
    name: &str,
    limits: &Limits,
) -> Result<(StatusCode, Bytes), LoadError> {
    let body = json!({"model_name": name, "url": format!("{MODELS}/{name}/model")});
    let body = Bytes::from(body.to_string());
    request(container, (Method::POST, "/models"), body, limits.load, limits).await
}

/// `DELETE /models/<name>`.
pub(super) async fn unload(
    container: &Container,
    name: &str,
    limits: &Limits,
) -> Result<StatusCode, LoadError> {
    let path = format!("/models/{name}");
    let of = (Method::DELETE, path.as_str());
    Ok(request(container, of, Bytes::new(), limits.answer, limits).await?.0)
}

/// `GET /models/<name>`.
pub(super) async fn find(
    container: &Container,
    name: &str,
    limits: &Limits,
) -> Result<StatusCode, LoadError> {
    let path = format!("/models/{name}");
    let of = (Method::GET, path.as_str());
    Ok(request(container, of, Bytes::new(), limits.answer, limits).await?.0)
}

/// `GET /models`: the names of those that are loaded.
pub(super) async fn list(container: &Container, limits: &Limits) -> Result<Vec<String>, LoadError> {
    let mut names = Vec::new();
    let mut path = "/models".to_owned();
    for _ in 0..MAX_PAGES {
        let (status, body) =
            request(container, (Method::GET, &path), Bytes::new(), limits.answer, limits).await?;
        // A container may know of none before the first.
        let Ok(page) = serde_json::from_slice::<Page>(&body) else { break };
        if !status.is_success() {
            break;
        }
        names.extend(page.models.into_iter().map(|listed| listed.model_name));
        let Some(token) = page.next_page_token.filter(|token| !token.is_empty()) else { break };
        let token: String = token.bytes().map(|b| format!("%{b:02X}")).collect();
        path = format!("/models?next_page_token={token}");
    }
    Ok(names)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    models: Vec<Listed>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    model_name: String,
}

/// A question, and its answer within `time`.
async fn request(
    container: &Container,
    (method, path): (Method, &str),
    body: Bytes,
    time: Duration,
    limits: &Limits,
) -> Result<(StatusCode, Bytes), LoadError> {
    let mut request = Outgoing::new(Full::new(body.clone()));
    *request.uri_mut() = path.parse().map_err(|e: http::uri::InvalidUri| broken(&e))?;
    *request.method_mut() = method;
    let headers = request.headers_mut();
    headers.insert(HOST, HOST_NAME);
    headers.insert(CONTENT_LENGTH, body.len().into());
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let answer = tokio::time::timeout(time, exchange(container, request, limits)).await;
    answer.unwrap_or_else(|_| Err(LoadError::Broken("the container did not answer in time".into())))
}

async fn exchange(
    container: &Container,
    request: Outgoing,
    limits: &Limits,
) -> Result<(StatusCode, Bytes), LoadError> {
    let reply = pool::send(container, request, limits).await.map_err(|e| match e {
        SendError::Unsent(e) => broken(&e),
        SendError::Lost(e) => broken(&e),
    })?;
    let status = reply.response.status();
    // Short, and apart from what clients hold.
    let budget = Arc::new(Semaphore::new(2 * MAX_MODELS));
    let body = read::whole(container, reply, MAX_MODELS, limits, &budget).await;
    Ok((status, body.map_err(|e| broken(&e))?))
}

fn broken(e: &dyn std::error::Error) -> LoadError {
    LoadError::Broken(crate::chain(e))
}
