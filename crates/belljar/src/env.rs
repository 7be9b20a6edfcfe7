//! `belljar env`: what a shell needs to reach the service.

use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::state_path;
use crate::terminal::quoted;
use crate::trouble::Trouble;
use belljar_control::service::{address, root_key};
use std::path::Path;

pub(crate) fn run(mut deps: Deps, given: Option<&Path>) -> Result<Exit, Trouble> {
    let state = state_path(&deps, given)?;
    let address = address(&state)?;
    let key = root_key(&state)?;
    let mut text = String::new();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", address.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", &key.id),
        ("AWS_SECRET_ACCESS_KEY", key.secret()),
        ("AWS_REGION", &address.region),
        ("AWS_DEFAULT_REGION", &address.region),
    ] {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    if let Some(s3) = &address.s3_endpoint {
        text.push_str(&format!("export AWS_ENDPOINT_URL_S3={}\n", quoted(s3)));
    }
    // One of another account would be sent along with this key.
    text.push_str("unset AWS_SESSION_TOKEN\n");
    deps.print(&text)?;
    Ok(Exit::Completed)
}
