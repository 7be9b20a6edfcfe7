//! A server that knows as much of S3 as staging needs: one bucket, `bucket`, in memory.
//! `denied` is a bucket that nobody may use; any other does not exist.

use belljar_warden::staging::S3Settings;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PAGE: usize = 1000;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    sizes: BTreeMap<String, usize>,
    uploads: BTreeMap<String, (String, BTreeMap<usize, Vec<u8>>)>,
    begun: usize,
    fail_from: Option<usize>,
    stall_from: Option<usize>,
    stalled: usize,
    requests: usize,
    cut_at: Option<usize>,
}

pub(crate) struct FakeS3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    /// First byte that is asked for.
    offset: Option<usize>,
    body: Vec<u8>,
}

impl FakeS3 {
    pub(crate) fn start(objects: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects = objects.iter().map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { objects, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream.unwrap(), &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it is reached.
    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            access_key_id: Some("AKIDEXAMPLE".into()),
            secret_access_key: Some("s3cr3t".into()),
            endpoint: Some(self.url()),
            ..S3Settings::default()
        }
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().objects.get(key).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// Breaks off each answer after this many bytes.
    pub(crate) fn cut_bodies_at(&self, bytes: usize) {
        self.state.lock().unwrap().cut_at = Some(bytes);
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Lists `key` with another size than it has.
    pub(crate) fn lie_about_size(&self, key: &str, size: usize) {
        self.state.lock().unwrap().sizes.insert(key.to_owned(), size);
    }

    /// Refuses parts from this number on.
    pub(crate) fn fail_parts_from(&self, part: usize) {
        let mut state = self.state.lock().unwrap();
        (state.fail_from, state.stall_from) = (Some(part), None);
    }

    /// Parts that were not answered.
    pub(crate) fn stalled(&self) -> usize {
        self.state.lock().unwrap().stalled
    }

    /// Does not answer parts from this number on.
    pub(crate) fn stall_parts_from(&self, part: usize) {
        self.state.lock().unwrap().stall_from = Some(part);
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, headers, mut body) = answer(&request, state);
        let length = body.len();
        let cut = state.lock().unwrap().cut_at.filter(|cut| *cut < length);
        body.truncate(cut.unwrap_or(length));
        let mut bytes =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n").into_bytes();
        if request.method != "HEAD" {
            bytes.extend_from_slice(&body);
        }
        let mut out = stream;
        if out.write_all(&bytes).is_err() || cut.is_some() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut offset) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if let Some(value) = header.strip_prefix("range: bytes=") {
            offset = Some(value.trim_end_matches('-').parse().ok()?);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |p: &str| {
        let (k, v) = p.split_once('=').unwrap_or((p, ""));
        (decode(k), decode(v))
    };
    let query = query.split('&').filter(|p| !p.is_empty()).map(pair).collect();
    Some(Request { method, path: decode(path), query, offset, body })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        if bytes[i] == b'%' {
            out.push(u8::from_str_radix(&text[i + 1..i + 3], 16).unwrap());
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

type Answer = (&'static str, String, Vec<u8>);

fn error(status: &'static str, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    (status, String::new(), body.into_bytes())
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    ("200 OK", "ETag: \"e\"\r\n".to_owned(), body.into())
}

fn answer(request: &Request, state: &Mutex<State>) -> Answer {
    let path = request.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    match bucket {
        "bucket" => {}
        "denied" => return error("403 Forbidden", "AccessDenied"),
        _ => return error("404 Not Found", "NoSuchBucket"),
    }
    if let Some(number) = request.query.get("partNumber") {
        return part(request, number.parse().unwrap(), state);
    }
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let upload = request.query.get("uploadId");
    match (request.method.as_str(), upload) {
        ("GET", _) if request.query.contains_key("list-type") => list(request, &state),
        ("GET", _) => match state.objects.get(key) {
            Some(object) => {
                let (_, _, body) = ok(object.clone());
                let modified = "Last-Modified: Mon, 23 Nov 2026 13:15:00 GMT\r\n";
                let headers = format!("ETag: \"e\"\r\n{modified}");
                let Some(from) = request.offset else { return ("200 OK", headers, body) };
                let (last, all) = (body.len() - 1, body.len());
                let range = format!("Content-Range: bytes {from}-{last}/{all}\r\n");
                ("206 Partial Content", headers + &range, body[from..].to_vec())
            }
            None => error("404 Not Found", "NoSuchKey"),
        },
        ("PUT", _) => {
            state.objects.insert(key.to_owned(), request.body.clone());
            ok("")
        }
        ("POST", None) => {
            state.begun += 1;
            let id = format!("upload-{}", state.begun);
            state.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
            ok(format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        ("POST", Some(id)) => match state.uploads.remove(id) {
            Some((key, parts)) => {
                state.objects.insert(key, parts.into_values().flatten().collect());
                ok("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
            }
            None => error("404 Not Found", "NoSuchUpload"),
        },
        ("DELETE", None) => {
            state.objects.remove(key);
            ("204 No Content", String::new(), Vec::new())
        }
        ("DELETE", Some(id)) => match state.uploads.remove(id) {
            Some(_) => ("204 No Content", String::new(), Vec::new()),
            None => error("404 Not Found", "NoSuchUpload"),
        },
        _ => error("400 Bad Request", "NotImplemented"),
    }
}

fn part(request: &Request, number: usize, state: &Mutex<State>) -> Answer {
    let mut held = state.lock().unwrap();
    if held.stall_from.is_some_and(|from| number >= from) {
        held.stalled += 1;
        drop(held);
        std::thread::sleep(Duration::from_secs(60));
        return error("500 Internal Server Error", "InternalError");
    }
    if held.fail_from.is_some_and(|from| number >= from) {
        return error("403 Forbidden", "AccessDenied");
    }
    match held.uploads.get_mut(&request.query["uploadId"]) {
        Some((_, parts)) => {
            parts.insert(number, request.body.clone());
            ok("")
        }
        None => error("404 Not Found", "NoSuchUpload"),
    }
}

fn list(request: &Request, state: &State) -> Answer {
    let get = |name: &str| request.query.get(name).cloned().unwrap_or_default();
    let (prefix, after) = (get("prefix"), get("continuation-token"));
    let page: usize = get("max-keys").parse().unwrap_or(PAGE);
    let found: Vec<_> = state
        .objects
        .iter()
        .filter(|(k, _)| k.starts_with(&prefix) && (after.is_empty() || **k > after))
        .collect();
    let mut xml = String::from("<ListBucketResult>");
    for (key, object) in found.iter().take(page) {
        let size = state.sizes.get(*key).copied().unwrap_or(object.len());
        let _ = write!(
            xml,
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-11-23T13:15:00.000Z</LastModified><ETag>\"e\"</ETag></Contents>"
        );
    }
    if found.len() > page {
        let token = found[page - 1].0;
        let _ = write!(xml, "<NextContinuationToken>{token}</NextContinuationToken>");
    }
    xml.push_str("</ListBucketResult>");
    ok(xml)
}
