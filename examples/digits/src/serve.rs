//! `serve`: the model over HTTP, as SageMaker's hosting contract has it.

use crate::contract::OptMl;
use crate::data::{FEATURES, read_features};
use crate::model::Model;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The largest request that SageMaker passes on, 6 MB.
const MAX_BODY: usize = 6 << 20;

/// How long a client may take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// How long requests under way may take after TERM; the platform kills after 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until TERM.
pub(crate) fn run(opt_ml: &OptMl) -> Result<(), Box<dyn Error>> {
    let model = Arc::new(Model::load(&opt_ml.model())?);
    let port = port(std::env::var("SAGEMAKER_BIND_TO_PORT").ok().as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let term = signal(SignalKind::terminate())?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
        println!("serving on {}", listener.local_addr()?);
        serve(&listener, model, term).await;
        println!("stopped by TERM");
        Ok(())
    })
}

fn port(wanted: Option<&str>) -> Result<u16, String> {
    let Some(text) = wanted else { return Ok(8080) };
    text.parse().map_err(|_| format!("SAGEMAKER_BIND_TO_PORT=`{text}` is not a port"))
}

async fn serve(listener: &TcpListener, model: Arc<Model>, mut term: Signal) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    eprintln!("digits: cannot accept: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = term.recv() => break,
        };
        let model = Arc::clone(&model);
        let service = service_fn(move |request| {
            let model = Arc::clone(&model);
            async move { Ok::<_, Infallible>(answer(&model, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(e) = watched.await {
                eprintln!("digits: connection ended: {e}");
            }
        });
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        eprintln!("digits: gave up on requests still under way");
    }
}

async fn answer(model: &Model, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/ping") => reply(StatusCode::OK, "text/plain", String::new()),
        (&Method::POST, "/invocations") => {
            let (head, body) = request.into_parts();
            match Limited::new(body, MAX_BODY).collect().await {
                Ok(body) => invoke(model, &head.headers, &body.to_bytes()),
                Err(e) => refuse(StatusCode::PAYLOAD_TOO_LARGE, &format!("body: {e}")),
            }
        }
        (_, "/ping" | "/invocations") => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "GET /ping, POST /invocations")
        }
        _ => refuse(StatusCode::NOT_FOUND, "there are GET /ping and POST /invocations"),
    }
}

fn invoke(model: &Model, headers: &HeaderMap, body: &[u8]) -> Response<Full<Bytes>> {
    let content_type = media_type(headers.get(CONTENT_TYPE));
    if !matches!(content_type, None | Some("text/csv")) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be text/csv");
    }
    let json = match media_type(headers.get(ACCEPT)) {
        None | Some("text/csv" | "*/*" | "text/*") => false,
        Some("application/json") => true,
        Some(_) => {
            return refuse(StatusCode::NOT_ACCEPTABLE, "Accept: text/csv or application/json");
        }
    };
    let features = match read_features("body", body) {
        Ok(features) => features,
        Err(e) => {
            let text = format!("{e} ({FEATURES} pixels a row are wanted)");
            return refuse(StatusCode::BAD_REQUEST, &text);
        }
    };
    match model.predict(features) {
        Ok(digits) if json => {
            let text = serde_json::json!({ "predictions": digits }).to_string();
            reply(StatusCode::OK, "application/json", text)
        }
        Ok(digits) => {
            let text = digits.iter().map(|d| format!("{d}\n")).collect();
            reply(StatusCode::OK, "text/csv", text)
        }
        Err(e) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

/// The type alone: no parameters, only the first choice.
fn media_type(value: Option<&HeaderValue>) -> Option<&str> {
    let text = value?.to_str().ok()?;
    Some(text.split([';', ',']).next().unwrap_or_default().trim())
}

fn refuse(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    reply(status, "text/plain", format!("{text}\n"))
}

fn reply(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Hyperparameters;
    use crate::data::Rows;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::path::Path;

    /// A model of two trees, and one held-out row without its label.
    fn model_and_row() -> (Model, String) {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let rows = Rows::read_channel(&data).unwrap();
        let chosen = Hyperparameters { trees: 2, ..Hyperparameters::default() };
        let test = std::fs::read_to_string(data.join("test.csv")).unwrap();
        let row = test.lines().next().unwrap().split_once(',').unwrap().1.to_owned();
        (Model::fit(rows, chosen).unwrap(), row)
    }

    fn headers(content_type: &'static str, accept: &'static str) -> HeaderMap {
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        all.insert(ACCEPT, HeaderValue::from_static(accept));
        all
    }

    #[test]
    fn types_and_bodies_are_checked() {
        let (model, row) = model_and_row();
        let status = |content_type, accept, body: &str| {
            invoke(&model, &headers(content_type, accept), body.as_bytes()).status().as_u16()
        };
        assert_eq!(status("text/csv; charset=utf-8", "*/*", &row), 200);
        assert_eq!(status("text/csv", "application/json", &row), 200);
        assert_eq!(status("application/json", "*/*", "{}"), 415);
        assert_eq!(status("text/csv", "image/png", &row), 406);
        for bad in ["", "1,2,3\n", &row.replacen("0", "zero", 1)] {
            assert_eq!(status("text/csv", "*/*", bad), 400, "{bad}");
        }
    }

    #[test]
    fn the_port_is_the_platforms_choice() {
        assert_eq!(port(None), Ok(8080));
        assert_eq!(port(Some("9000")), Ok(9000));
        assert!(port(Some("http")).unwrap_err().contains("SAGEMAKER_BIND_TO_PORT"));
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn it_answers_over_http_and_ends_with_term() {
        let (model, row) = model_and_row();
        // A signal of this test alone stands for TERM.
        let kind = SignalKind::from_raw(signal_hook::consts::SIGUSR1);
        let (tell, told) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let stop = signal(kind).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                serve(&listener, Arc::new(model), stop).await
            })
        });
        let address = told.recv().unwrap();

        let ping = ask(address, "GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(ping.starts_with("HTTP/1.1 200 OK\r\n") && ping.ends_with("\r\n\r\n"), "{ping}");
        let lost = ask(address, "GET /else HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(lost.starts_with("HTTP/1.1 404"), "{lost}");
        let head = "POST /invocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/json\r\ncontent-type: text/csv";
        let length = row.len();
        let found = ask(address, &format!("{head}\r\ncontent-length: {length}\r\n\r\n{row}"));
        assert!(found.starts_with("HTTP/1.1 200 OK"), "{found}");
        assert!(found.ends_with("{\"predictions\":[3]}"), "{found}");

        signal_hook::low_level::raise(signal_hook::consts::SIGUSR1).unwrap();
        server.join().unwrap();
        assert!(TcpStream::connect(address).is_err());
    }
}
