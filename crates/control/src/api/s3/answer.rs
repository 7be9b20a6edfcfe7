//! What every answer gets: a request id, and, if it is an error, S3's form of it in full.

use super::error::OURS;
use http::{HeaderValue, Method, Response, StatusCode, header};
use s3s::Body;

/// What s3s says without words, in S3's.
const WORDS: &[(&str, &str)] = &[
    ("AccessDenied", "Access Denied"),
    ("InvalidBucketName", "The specified bucket is not valid."),
    ("InvalidURI", "Couldn't parse the specified URI."),
    ("KeyTooLongError", "Your key is too long"),
    (
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("MethodNotAllowed", "The specified method is not allowed against this resource."),
    ("MissingContentLength", "You must provide the Content-Length HTTP header."),
    (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    ),
    (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
    ("MaxMessageLengthExceeded", "Your request was too big."),
];

/// Completes an answer to `method`.
pub(super) fn complete(mut answer: Response<Body>, id: &str, method: &Method) -> Response<Body> {
    if answer.status() == StatusCode::NOT_MODIFIED {
        *answer.body_mut() = Body::empty();
        answer.headers_mut().remove(header::CONTENT_TYPE);
    } else if answer.status().is_client_error() || answer.status().is_server_error() {
        if *method == Method::HEAD {
            *answer.body_mut() = Body::empty();
        } else {
            rewrite(&mut answer, id);
        }
        if answer.headers_mut().remove(OURS).is_none() && answer.status().is_server_error() {
            unreadable(&mut answer);
        }
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        answer.headers_mut().insert("x-amz-request-id", id.clone());
        answer.headers_mut().insert("x-amz-id-2", id);
    }
    answer
}

/// s3s calls internal what it cannot read of a request: a broken body, mostly.
fn unreadable(answer: &mut Response<Body>) {
    if answer.status() == StatusCode::INTERNAL_SERVER_ERROR {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
}

fn rewrite(answer: &mut Response<Body>, id: &str) {
    let Some(xml) = answer.body().bytes() else { return };
    let xml = String::from_utf8_lossy(&xml);
    let unreadable = answer.status() == StatusCode::INTERNAL_SERVER_ERROR
        && !answer.headers().contains_key(OURS);
    let code =
        if unreadable { "InvalidRequest" } else { inner(&xml, "Code").unwrap_or("InternalError") };
    let said = match inner(&xml, "Message") {
        _ if unreadable => "The body of the request could not be read.".to_owned(),
        Some(said) => match said.strip_suffix(" is not implemented yet") {
            Some(operation) => format!("Belljar does not serve {operation}."),
            None => said.to_owned(),
        },
        None => {
            let known = WORDS.iter().find(|(known, _)| *known == code);
            known.map_or(code, |(_, words)| words).to_owned()
        }
    };
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>{said}</Message><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>"
    );
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    *answer.body_mut() = Body::from(xml);
}

/// The escaped text of an element.
fn inner<'a>(xml: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{element}>"))?;
    Some(rest.split_once(&format!("</{element}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(status: u16, xml: &str, method: &Method) -> (u16, String) {
        let answer = Response::builder().status(status).body(Body::from(xml.to_owned())).unwrap();
        let answer = complete(answer, "ID", method);
        assert_eq!(answer.headers()["x-amz-request-id"], "ID");
        let body = answer.body().bytes().unwrap();
        (answer.status().as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn errors_are_whole() {
        let (status, xml) =
            completed(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", &Method::GET);
        assert_eq!(status, 403);
        assert!(xml.contains("<Message>The request signature") && xml.contains("<RequestId>ID<"));
        let unserved = "<Error><Code>NotImplemented</Code>\
                        <Message>GetBucketAcl is not implemented yet</Message></Error>";
        let (_, xml) = completed(501, unserved, &Method::GET);
        assert!(xml.contains("<Message>Belljar does not serve GetBucketAcl.</Message>"), "{xml}");
        let (status, xml) =
            completed(500, "<Error><Code>InternalError</Code></Error>", &Method::POST);
        assert_eq!(status, 400);
        assert!(xml.contains("<Code>InvalidRequest</Code>"), "{xml}");
        assert_eq!(completed(404, "<Error/>", &Method::HEAD), (404, String::new()));
        assert_eq!(completed(304, "<Error/>", &Method::GET), (304, String::new()));
        assert_eq!(completed(200, "<A/>", &Method::GET), (200, "<A/>".to_owned()));
    }
}
