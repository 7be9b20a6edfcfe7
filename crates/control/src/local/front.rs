//! The local address of a model that is served without a service: `/invocations` and `/ping`, as a
//! container has them, for whoever is on this machine.

use crate::service::limits::held;
use crate::serving::{CUSTOM_ATTRIBUTES, Failure, Fault, Request, Table, forward, passed};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// For a request's head.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long nothing is accepted after the kernel refused.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that are open at once; further ones wait.
const MAX_CONNECTIONS: usize = 256;

/// Answers requests for `endpoint` until it is dropped.
///
/// # Errors
/// If the socket cannot be listened to.
pub async fn serve(
    listener: TcpListener,
    table: Arc<Table>,
    endpoint: String,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let endpoint: Arc<str> = endpoint.into();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!(error = %e, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let (table, endpoint) = (table.clone(), endpoint.clone());
        let service = service_fn(move |request| {
            let (table, endpoint) = (table.clone(), endpoint.clone());
            async move { Ok::<_, Infallible>(answer(&table, &endpoint, request).await) }
        });
        connections.spawn(async move {
            let _permit = permit;
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(e) = served.await {
                tracing::debug!(error = %e, "a connection ended");
            }
        });
    }
}

async fn answer(
    table: &Table,
    endpoint: &str,
    request: http::Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (parts, incoming) = request.into_parts();
    if !is_for_this_machine(&parts.headers) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "call it 127.0.0.1 or localhost");
    }
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/ping") => ping(table, endpoint),
        (&Method::POST, "/invocations") => {
            let body = match held(&table.requests, incoming).await {
                Ok(body) => body,
                Err(e) => {
                    let status = StatusCode::from_u16(e.status).unwrap_or(StatusCode::BAD_REQUEST);
                    return refuse(status, &e.message);
                }
            };
            invoke(table, endpoint, &parts.headers, body.bytes.clone()).await
        }
        (_, path @ ("/ping" | "/invocations")) => {
            let allowed = if path == "/ping" { "GET" } else { "POST" };
            let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "use another method");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            refused
        }
        _ => refuse(StatusCode::NOT_FOUND, "there are GET /ping and POST /invocations"),
    }
}

/// Whether the caller knows that it calls its own machine. A page in a browser may have a name of its
/// own lead here, and would be shown what the model answers.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

fn ping(table: &Table, endpoint: &str) -> Response<Full<Bytes>> {
    let routes = table.get(endpoint);
    let mut instances = routes.iter().flat_map(|r| &r.variants).flat_map(|v| &v.instances);
    match instances.any(|i| i.is_healthy()) {
        true => Response::new(Full::default()),
        false => refuse(StatusCode::SERVICE_UNAVAILABLE, "no instance is healthy"),
    }
}

async fn invoke(
    table: &Table,
    endpoint: &str,
    given: &HeaderMap,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let headers = passed(given, ACCEPT);
    let request = Request { headers, body, ..Request::default() };
    match forward(table, endpoint, &request).await {
        Ok(answer) => {
            let mut response = Response::new(Full::new(answer.body));
            for (name, value) in
                [(CONTENT_TYPE, answer.content_type), (CUSTOM_ATTRIBUTES, answer.custom_attributes)]
            {
                if let Some(value) = value {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Err(failure) => failed(&failure),
    }
}

/// What the container says of its own failure is passed on; the rest is ours.
fn failed(failure: &Failure) -> Response<Full<Bytes>> {
    let status = match failure {
        Failure::Container { fault: Fault::Answered { status, message }, .. } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = Response::new(Full::new(message.clone()));
            *response.status_mut() = status;
            return response;
        }
        Failure::Container { fault: Fault::TimedOut, .. } => StatusCode::GATEWAY_TIMEOUT,
        Failure::Container { .. } => StatusCode::BAD_GATEWAY,
        Failure::Refused(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, &failure.to_string())
}

fn refuse(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let is = |host: &'static str| {
            is_for_this_machine(&[(HOST, HeaderValue::from_static(host))].into_iter().collect())
        };
        for ours in ["127.0.0.1:8080", "localhost:8080", "LocalHost", "127.0.0.1"] {
            assert!(is(ours), "{ours}");
        }
        for other in
            ["model.example.com:8080", "localhost.example.com", "127.0.0.1.example.com", ""]
        {
            assert!(!is(other), "{other}");
        }
        assert!(!is_for_this_machine(&HeaderMap::new()));
    }
}
