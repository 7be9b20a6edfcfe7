//! Any request is routed, decoded and valid, or an error of 4xx that can be answered.
#![no_main]

use belljar_aws::{Service, decode, encode_error, route, validate};
use http::Request;
use libfuzzer_sys::fuzz_target;

/// The first byte chooses a service; then, up to a line's end each: the path, the target, a header's
/// worth of authorization; the rest is the body.
fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut lines = rest.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, target, authorization, body) = (line(), line(), line(), line());
    let request = Request::post(path)
        .header("x-amz-target", target)
        .header("authorization", authorization)
        .header("content-type", "application/x-www-form-urlencoded");
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let routed = route(&parts);
    let service = match &routed {
        Ok(route) => route.service,
        Err(_) => Service::ALL[usize::from(*choice) % Service::ALL.len()],
    };
    let outcome = routed
        .and_then(|_| decode(service, &parts, body))
        .and_then(|call| validate(call.operation, &call.input));
    if let Err(error) = outcome {
        assert!((400..500).contains(&error.status), "{error}");
        assert_eq!(encode_error(service, &error, "id").status(), error.status);
    }
});
