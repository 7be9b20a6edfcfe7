//! AWS's own suite for signatures, which botocore keeps: canonical requests and signatures.

use crate::folder;
use belljar_aws::sigv4;
use http::Request;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use ring::digest;
use std::fs;
use std::path::{Path, PathBuf};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOT_HTTP: &str = "no HTTP library lets this request through";
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";

#[test]
fn signatures_are_those_of_the_suite() {
    let mut found = Vec::new();
    collect(&folder().join("aws4_testsuite"), &mut found);
    assert!(found.len() > 20, "only {} vectors", found.len());
    let (mut passed, mut failed) = (0, Vec::new());
    for file in found {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        match check(&file) {
            Ok(true) => passed += 1,
            Ok(false) => println!("  skipped {name}: {NOT_HTTP}"),
            Err(why) => failed.push(format!("{name}: {why}")),
        }
    }
    println!("signatures: {passed} passed");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "req") {
            found.push(path);
        }
    }
    found.sort();
}

fn check(file: &Path) -> Result<bool, String> {
    let read = |ext: &str| {
        let text = fs::read_to_string(file.with_extension(ext)).unwrap();
        text.replace('\r', "")
    };
    let Some((mut parts, body)) = request(&read("req")) else { return Ok(false) };
    let authorization = read("authz");
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap();
        rest.split(", ").next().unwrap().trim().to_owned()
    };
    let names: Vec<String> = field("SignedHeaders").split(';').map(str::to_owned).collect();
    // The suite's signer adds the token to the request.
    let token = read("creq");
    let token = token.lines().find_map(|line| line.strip_prefix("x-amz-security-token:"));
    if let (Some(token), false) = (token, parts.headers.contains_key("x-amz-security-token")) {
        parts.headers.insert("x-amz-security-token", HeaderValue::from_str(token).unwrap());
    }
    let hash = sigv4::hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let canonical = sigv4::canonical_request(&parts, &names, &hash).ok_or("no canonical form")?;
    if canonical != read("creq") {
        return Err(format!("got\n{canonical}\nwanted\n{}", read("creq")));
    }
    let to_sign = sigv4::string_to_sign("20150830T123600Z", SCOPE, &canonical);
    let key = sigv4::signing_key(KEY, "20150830", "us-east-1", "service");
    let signature = sigv4::hex(ring::hmac::sign(&key, to_sign.as_bytes()).as_ref());
    if signature == field("Signature") { Ok(true) } else { Err("another signature".to_owned()) }
}

fn request(text: &str) -> Option<(Parts, String)> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let uri = rest.strip_suffix(" HTTP/1.1")?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    let (parts, ()) = request.body(()).ok()?.into_parts();
    Some((parts, body.to_owned()))
}
