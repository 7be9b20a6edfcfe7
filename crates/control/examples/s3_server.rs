//! Belljar's S3 alone, on a loopback port, to measure and to try: `s3_server STATE PORT`. Prints
//! the address and the root's key.

use belljar_control::api::s3;
use belljar_domain::Timestamp;
use belljar_store::objects::Objects;
use belljar_store::{State, identity};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::print_stdout, reason = "a program")]
fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let state = args.next().unwrap_or_else(|| "state".into());
    let port: u16 = args.next().unwrap_or_else(|| "0".into()).parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state = Arc::new(State::open(state.as_ref())?);
    let made = runtime.block_on(
        state.db().write(|c| identity::ensure_root(c, "000000000000", Timestamp::from_millis(0))),
    )?;
    let objects = Objects::open(&state.folder().join("objects"))?;
    let config = s3::Config {
        region: "us-east-1".into(),
        account: "000000000000".into(),
        hosts: Vec::new(),
    };
    let find: s3::FindKey = Arc::new(move |id| state.db().read(|c| identity::find_key(c, id)));
    let service = s3::service(objects, find, config);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    println!("http://{} {} {}", listener.local_addr()?, made.key.id, made.key.secret.expose());
    let threads = std::thread::available_parallelism()?.get();
    for _ in 1..threads {
        let (service, listener) = (service.clone(), listener.try_clone()?);
        std::thread::spawn(move || serve(service, listener));
    }
    serve(service, listener)
}

fn serve(service: s3::S3, listener: std::net::TcpListener) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service.clone();
            let answer = hyper::service::service_fn(move |request: hyper::Request<_>| {
                let service = service.clone();
                async move {
                    let request = request.map(s3s::Body::from);
                    Ok::<_, Infallible>(service.call(request).await)
                }
            });
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    })
}
