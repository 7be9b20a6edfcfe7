//! `belljar exec`: a command where all of AWS is the running service. The warden makes that place;
//! this process becomes it, so that exit code, signals and terminal are the command's own.

use crate::args_service::ExecArgs;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::{state_path, warden_path};
use crate::trouble::Trouble;
use belljar_control::service::{address, certificate_path, root_key};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Variables of AWS that steer nothing but how its clients behave. All others say where AWS is and
/// who is calling, and are not passed on.
const KEPT: [&str; 5] = [
    "AWS_CLI_AUTO_PROMPT",
    "AWS_DEFAULT_OUTPUT",
    "AWS_MAX_ATTEMPTS",
    "AWS_PAGER",
    "AWS_RETRY_MODE",
];
/// Further ones that lead elsewhere: proxies, and whom to trust. In whatever case.
const DROPPED: [&str; 7] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "BOTO_CONFIG",
    "SSL_CERT_DIR",
];
/// How programs are told whom to trust: the AWS SDKs, Python's requests, OpenSSL, curl, Node.
const TRUST: [&str; 5] = [
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
/// The files of the user's own accounts: there are none in here.
const FILES: [&str; 2] = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];

pub(crate) fn run(
    deps: &Deps,
    given: Option<&Path>,
    quiet: bool,
    args: ExecArgs,
) -> Result<Exit, Trouble> {
    let state = state_path(deps, given)?;
    let warden = warden_path(deps)?;
    let address = address(&state)?;
    let key = root_key(&state)?;
    let ca = certificate_path(&state);
    let mut command = Command::new(&warden);
    command.arg("exec").arg("--service").arg(state.join("service")).arg("--ca").arg(&ca);
    if let Some(own) = loopback(&address.endpoint) {
        command.args(["--at", &own.to_string()]);
    }
    if quiet {
        command.arg("--quiet");
    }
    command.arg("--").args(args.command);
    command.env_clear().envs(passed_on(&deps.variables));
    command.envs(TRUST.map(|name| (name, ca.as_os_str())));
    command.envs(FILES.map(|name| (name, "/dev/null")));
    command.envs([
        ("AWS_ACCESS_KEY_ID", key.id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", key.secret()),
        ("AWS_REGION", &address.region),
        ("AWS_DEFAULT_REGION", &address.region),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    // It returns only if it failed.
    let error = command.exec();
    Err(Trouble::new(Exit::Machine, format!("cannot run {}: {error}", warden.display())))
}

/// The service's own address, which a command may have built in, if it is one of this machine.
fn loopback(endpoint: &str) -> Option<SocketAddr> {
    let address: SocketAddr = endpoint.strip_prefix("http://")?.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

/// The user's variables that go on.
fn passed_on(all: &[(OsString, OsString)]) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    all.iter().filter(|(name, _)| passes(name)).map(|(n, v)| (n.as_os_str(), v.as_os_str()))
}

fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    if name.starts_with("AWS_") {
        return KEPT.contains(&name);
    }
    !DROPPED.contains(&name.to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_another_aws_is_not_passed_on() {
        for name in [
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ROLE_ARN",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
        ] {
            assert!(!passes(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "AWS_PAGER", "PYTHONPATH"] {
            assert!(passes(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn an_address_of_this_machine_alone_is_kept() {
        assert_eq!(loopback("http://127.0.0.1:4747"), Some(([127, 0, 0, 1], 4747).into()));
        assert!(loopback("http://[::1]:4747").is_some());
        assert_eq!(loopback("http://192.0.2.1:4747"), None);
    }
}
