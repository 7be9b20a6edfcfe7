//! Other reverse proxies, each in front of a model server on the loopback device: what stands
//! between a client and a container elsewhere.

use super::Bench;
use super::client::Endpoint;
use super::server::{Server, free_port};
use super::tools;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any of them takes to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same program that containers run, without one; nothing is in between.
pub(crate) fn direct(bench: &Bench) -> Result<Server, String> {
    let port = free_port()?;
    let mut command = Command::new(&bench.probe);
    command.args(["echo", &port.to_string()]);
    started(command, port)
}

/// nginx before the server at `upstream`, with connections that are kept on both sides.
pub(crate) fn nginx(bench: &Bench, upstream: &str) -> Result<Server, String> {
    need("/usr/sbin/nginx", "nginx-light")?;
    let (port, folder) = (free_port()?, folder(bench, "nginx")?);
    let place = folder.display();
    let config = format!(
        "daemon off; worker_processes auto; pid {place}/pid; error_log {place}/error.log;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; client_max_body_size 0; client_body_buffer_size 2m;
           proxy_buffers 32 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;
           client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
           uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
           keepalive_requests 100000000;
           upstream model {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
           server {{
             listen 127.0.0.1:{port};
             location / {{
               proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\";
             }}
           }}
         }}\n"
    );
    let file = write(&folder, "nginx.conf", &config)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(file).arg("-p").arg(&folder);
    started(command, port)
}

/// HAProxy, likewise.
pub(crate) fn haproxy(bench: &Bench, upstream: &str) -> Result<Server, String> {
    need("/usr/sbin/haproxy", "haproxy")?;
    let (port, folder) = (free_port()?, folder(bench, "haproxy")?);
    let config = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n \
         http-reuse always\nfrontend front\n bind 127.0.0.1:{port}\n default_backend model\n\
         backend model\n server one {upstream}\n"
    );
    let file = write(&folder, "haproxy.cfg", &config)?;
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(file);
    started(command, port)
}

fn need(program: &str, package: &str) -> Result<(), String> {
    match Path::new(program).is_file() {
        true => Ok(()),
        false => {
            Err(format!("there is no {program} (Debian and Ubuntu: apt-get install {package})"))
        }
    }
}

fn folder(bench: &Bench, name: &str) -> Result<PathBuf, String> {
    let folder = bench.scratch.join(name);
    tools::make_folder(&folder).map(|()| folder)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = folder.join(name);
    fs::write(&file, text).map_err(|e| format!("write {}: {e}", file.display()))?;
    Ok(file)
}

/// Starts a server and waits until it listens.
fn started(mut command: Command, port: u16) -> Result<Server, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|e| format!("start {name}: {e}"))?;
    let mut server = Server::starting(child);
    server.endpoint = Endpoint {
        address: format!("127.0.0.1:{port}"),
        region: "us-east-1".to_owned(),
        access_key: "bench".to_owned(),
        secret: "bench".to_owned(),
    };
    let begun = Instant::now();
    while TcpStream::connect(&server.endpoint.address).is_err() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{name} does not listen"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}
