//! The service is killed at every step of its reconciler, and started again; its wardens are
//! killed, and both.

mod client;
mod endpoints;
mod hosted;
mod scene;

use crate::run::{name, until};
use belljar_testkit::{As, Scene};
use rustix::process::Signal;
use scene::{Service, assert_clean, assert_statuses, assert_talked, job, talking};
use serde_json::json;

const PAUSE: &str = "BELLJAR_SERVICE_PAUSE_AT";
const WHENS: [&str; 2] = ["before", "after"];
const INTERNAL: &str = "InternalServerError: We encountered an internal error.  Please try again.";

fn scene(who: As) -> Scene {
    let scene = Scene::new(who);
    scene.import_probe();
    scene
}

fn places(steps: &[&str]) -> Vec<String> {
    let both = |step: &&str| WHENS.map(|when| format!("{step}:{when}"));
    steps.iter().flat_map(both).collect()
}

/// Every step of a job that nothing else happens to.
#[test]
fn killed_at_every_step_of_a_job() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["begin", "folder", "spawn", "commit", "segment", "finish", "tidy"]) {
            let name = name(&scene, &place.replace(':', "-"));
            let mut service = Service::start(&scene, &[(PAUSE, &place)]);
            service.send("CreateTrainingJob", talking(&name));
            service.until_stopped(&place);
            service.kill();
            let service = Service::start(&scene, &[]);
            assert_talked(&service, &name);
            assert_clean(service, &name);
        }
    }
}

/// A stop that was asked of a service which did not live to tell it.
#[test]
fn killed_while_it_tells_a_stop() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["tell"]) {
            let name = name(&scene, &place.replace(':', "-"));
            let mut service = Service::start(&scene, &[(PAUSE, &place)]);
            service.client().ask("CreateTrainingJob", &job(&name, &["trap-term", "0"], 0));
            service.until_waiting(&name, 1);
            service.send("StopTrainingJob", json!({"TrainingJobName": name}));
            service.until_stopped(&place);
            service.kill();
            let service = Service::start(&scene, &[]);
            let found = service.until_status(&name, "Stopped");
            let statuses =
                ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"];
            assert_statuses(&found, &statuses);
            assert!(found["ModelArtifacts"]["S3ModelArtifacts"].is_string(), "{found:#}");
            assert_clean(service, &name);
        }
    }
}

/// The warden is killed, and the service while it goes on from there.
#[test]
fn killed_while_it_tries_again() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["sweep", "retry"]) {
            let name = name(&scene, &place.replace(':', "-"));
            let mut service = Service::start(&scene, &[(PAUSE, &place)]);
            service.client().ask("CreateTrainingJob", &job(&name, &["trap-term", "0"], 1));
            service.until_waiting(&name, 1);
            service.warden(&name).kill();
            service.until_stopped(&place);
            service.kill();
            let service = Service::start(&scene, &[]);
            service.until_waiting(&name, 2);
            service.stop_job(&name);
            let found = service.until_status(&name, "Stopped");
            let statuses = [
                "Starting",
                "Downloading",
                "Training",
                "Restarting",
                "Downloading",
                "Training",
                "Stopping",
                "Uploading",
                "Stopped",
            ];
            assert_statuses(&found, &statuses);
            assert_eq!(service.client().logs(&name).len(), 2, "a stream for each attempt");
            assert_clean(service, &name);
        }
    }
}

/// A warden that is killed takes its job along, in SageMaker's words.
#[test]
fn a_killed_warden_fails_its_job() {
    for who in As::all() {
        let scene = scene(who);
        let name = name(&scene, "killed-warden");
        let service = Service::start(&scene, &[]);
        service.client().ask("CreateTrainingJob", &job(&name, &["trap-term", "0"], 0));
        service.until_waiting(&name, 1);
        service.warden(&name).kill();
        let found = service.until_status(&name, "Failed");
        let reason = found["FailureReason"].as_str().unwrap();
        assert!(reason.starts_with(INTERNAL) && reason.contains("killed by signal 9"), "{reason}");
        assert_statuses(&found, &["Starting", "Downloading", "Training", "Failed"]);
        assert_clean(service, &name);
    }
}

/// Service and warden are killed together.
#[test]
fn both_are_killed() {
    for who in As::all() {
        let scene = scene(who);
        let name = name(&scene, "both-killed");
        let service = Service::start(&scene, &[]);
        service.client().ask("CreateTrainingJob", &job(&name, &["trap-term", "0"], 0));
        service.until_waiting(&name, 1);
        let warden = service.warden(&name);
        service.kill();
        warden.kill();
        until("the warden's end", || (!warden.lives()).then_some(()));
        let service = Service::start(&scene, &[]);
        let found = service.until_status(&name, "Failed");
        assert!(found["FailureReason"].as_str().unwrap().starts_with(INTERNAL), "{found:#}");
        assert_clean(service, &name);
    }
}

/// A job goes on, and ends, while there is no service; the next one tells all of it.
#[test]
fn a_job_outlives_its_service() {
    for who in As::all() {
        let scene = scene(who);
        let name = name(&scene, "outlives");
        // Its warden stops itself, so that it has not ended before the service.
        let service = Service::start(&scene, &[("BELLJAR_WARDEN_PAUSE_AT", "container:before")]);
        service.client().ask("CreateTrainingJob", &talking(&name));
        let warden = service.warden(&name);
        until("the warden stops", || warden.is_stopped().then_some(()));
        service.kill();
        warden.signal(Signal::CONT);
        assert!(warden.lives(), "it should wait for S3 at least");
        let service = Service::start(&scene, &[]);
        assert_talked(&service, &name);
        assert_clean(service, &name);
    }
}

/// Who waits for capacity still waits after a restart, and is served in turn.
#[test]
fn waiting_outlives_the_service() {
    for who in As::all() {
        let scene = scene(who);
        let (first, second) = (name(&scene, "first"), name(&scene, "second"));
        let large = |mut job: serde_json::Value| {
            job["ResourceConfig"]["InstanceType"] = json!("ml.m5.24xlarge");
            job
        };
        let service = Service::start(&scene, &[]);
        service.client().ask("CreateTrainingJob", &large(job(&first, &["trap-term", "0"], 0)));
        service.until_waiting(&first, 1);
        service.client().ask("CreateTrainingJob", &large(talking(&second)));
        service.until_status(&second, "Pending");
        service.kill();
        let service = Service::start(&scene, &[]);
        assert_eq!(service.describe(&second)["SecondaryStatus"], "Pending");
        service.stop_job(&first);
        service.until_status(&first, "Stopped");
        assert_talked(&service, &second);
        assert_clean(service, &second);
    }
}
