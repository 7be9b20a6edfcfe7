//! `belljar up`: the service, in the foreground.

use crate::args_service::UpArgs;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::{runtime, state_path, warden_path};
use crate::signals::listen;
use crate::terminal::{Console, printable, quoted};
use crate::trouble::Trouble;
use crate::{bug, log};
use belljar_control::api::s3::Outside;
use belljar_control::local::{Warden, environment};
use belljar_control::service::{self, Config, Ready};
use owo_colors::OwoColorize;
use std::path::Path;

pub(crate) fn run(
    deps: Deps,
    console: &Console,
    given: Option<&Path>,
    args: UpArgs,
) -> Result<Exit, Trouble> {
    log::install(console.clone());
    bug::outlive();
    let check_answers = cfg!(debug_assertions) || deps.variable("BELLJAR_CHECK_ANSWERS").is_some();
    let config = Config {
        state: state_path(&deps, given)?,
        listen: args.listen,
        zones: zones(&args.region, args.zones),
        region: args.region,
        account: args.account,
        capacity: args.capacity.into(),
        require_isolation: args.require_isolation,
        outside_s3: outside(&deps, args.s3_endpoint.as_deref())?,
        mirrors: args.registry_mirror,
        warden: Warden {
            program: warden_path(&deps)?,
            environment: environment::for_warden(deps.variables.iter().cloned()).collect(),
        },
        machine: deps.machine,
        check_answers,
        now: deps.now,
    };
    runtime()?.block_on(async {
        let mut interrupts = listen(deps.interrupts).map_err(|e| Trouble::runtime(&e))?;
        let stop = async move {
            interrupts.recv().await;
            console.say(&format!("{} jobs and endpoints go on", "ending:".yellow().bold()));
        };
        service::run(config, stop, |ready| console.say(&greeting(ready, given))).await?;
        Ok(Exit::Completed)
    })
}

/// Those that were named, or three of the region, as most of AWS's have.
fn zones(region: &str, given: Vec<String>) -> Vec<String> {
    match given.is_empty() {
        false => given,
        true => ["a", "b", "c"].map(|letter| format!("{region}{letter}")).to_vec(),
    }
}

/// The S3 elsewhere, with the credentials that the environment has for it.
fn outside(deps: &Deps, endpoint: Option<&str>) -> Result<Option<Outside>, Trouble> {
    let variable = |name: &str| Some(deps.variable(name)?.to_str()?.to_owned());
    let Some(endpoint) = endpoint else { return Ok(None) };
    Outside::from_environment(endpoint, variable).map(Some).map_err(|e| {
        Trouble::of(Exit::Usage, &e, None)
            .hint("give --s3-endpoint http://HOST:PORT, and its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    })
}

/// What is said when the service listens.
fn greeting(ready: &Ready, given: Option<&Path>) -> String {
    let address = &ready.address;
    let state = given.map_or_else(String::new, |path| {
        format!(" --state {}", quoted(&printable(&path.display().to_string())))
    });
    let key = if ready.first_start {
        "A first access key and a role were made; the command above exports the key.\n"
    } else {
        ""
    };
    format!(
        "{} at {}  ({}, account {})\n\n    eval \"$(belljar env{state})\"\n\n\
         then boto3, the SageMaker SDKs and the AWS CLI train and serve here, with the role\n\n    {}\n\n\
         {key}Ctrl-C ends the service; jobs and endpoints go on.",
        "Belljar is up".green().bold(),
        address.endpoint.bold(),
        address.region,
        address.account,
        ready.role_arn,
    )
}
