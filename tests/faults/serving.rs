//! Parts of a container that serves are killed, at every point.

use crate::leftovers::{Footprint, assert_none_of, below};
use crate::processes::{self, Process};
use crate::run::{name, scene, until};
use belljar_domain::serving::{ModelData, ModelForm};
use belljar_domain::{Assignment, Outcome, Stage};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Scene, Server};

const WHENS: [&str; 3] = ["before", "during", "after"];

fn process(server: &Server) -> Process {
    processes::all().into_iter().find(|p| p.pid == server.pid()).unwrap()
}

fn given(scene: &Scene, what: &str) -> Assignment {
    let mut with = serving();
    let uri = scene.path().join("data").display().to_string();
    with.model = Some(ModelData { uri, form: ModelForm::Prefix });
    assignment(scene, &name(scene, what), &[], with)
}

/// Kills the warden, has its folder swept as the service does, and looks for what is left.
fn kill_and_sweep(scene: &Scene, server: &mut Server, what: &str) {
    let warden = process(server);
    let before = Footprint::of(warden);
    warden.kill();
    until("the warden's end", || (!warden.lives()).then_some(()));
    let folder = server.folder().to_owned();
    let mut sweep = scene.command(scene.tools().warden());
    let output = sweep.args(["sweep", "--job"]).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    let job = folder.file_name().unwrap().to_str().unwrap();
    assert_none_of(scene, job, &before, &folder);
}

#[test]
fn the_warden_at_every_stage_as_each_user() {
    for who in As::all() {
        let scene = scene(who);
        for stage in Stage::ALL.into_iter().filter(|s| *s != Stage::StageOut) {
            for when in WHENS {
                let place = format!("{}:{when}", stage.as_str());
                let given = given(&scene, &place.replace(':', "-"));
                let pause = [("BELLJAR_WARDEN_PAUSE_AT", place.as_str())];
                let mut server = Server::start(&scene, &given, &pause);
                let warden = process(&server);
                let mut asked = false;
                until(&place, || {
                    // What comes after it has served comes when it is told to stop.
                    let stops =
                        stage == Stage::Evidence || (stage, when) == (Stage::Container, "after");
                    if stops && !asked && server.health() == [true] {
                        server.order("stop");
                        asked = true;
                    }
                    warden.is_stopped().then_some(())
                });
                kill_and_sweep(&scene, &mut server, &place);
            }
        }
    }
}

/// While it serves: door, namespace and container go with the warden, or with the sweep.
#[test]
fn the_warden_while_it_serves_and_the_state_is_swept() {
    for who in As::all() {
        let scene = scene(who);
        let mut server = Server::start(&scene, &given(&scene, "serves"), &[]);
        server.until_healthy();
        let mut other = Server::start(&scene, &given(&scene, "goes-on"), &[]);
        other.until_healthy();
        let warden = process(&server);
        let before = Footprint::of(warden);
        assert!(before.processes() >= 3 && before.namespaces() > 0, "{before:?}");
        warden.kill();
        until("the warden's end", || (!warden.lives()).then_some(()));
        assert!(server.folder().join("door").exists(), "there should be something to sweep");
        // What dies with the warden may have its lock for a moment longer: until then it is left.
        until("the door is swept", || {
            let mut sweep = scene.command(scene.tools().warden());
            let output = sweep.args(["sweep", "--state"]).arg(scene.state()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            (!server.folder().join("door").exists()).then_some(())
        });
        let job = server.folder().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(other.request("GET", "/ping", "").0, 200, "{who:?}: the other was left alone");
        assert_eq!(other.stop().outcome, Outcome::Stopped);
        assert_none_of(&scene, &job, &before, server.folder());
    }
}

/// A second warden does not begin what another one began.
#[test]
fn what_was_begun_is_not_begun_again() {
    let scene = scene(As::all()[0]);
    let given = given(&scene, "twice");
    let mut server = Server::start(&scene, &given, &[]);
    server.until_healthy();
    let mut again = scene.command(scene.tools().warden());
    let again =
        again.args(["run", "--job"]).arg(server.folder()).arg("--detached").status().unwrap();
    assert_eq!(again.code(), Some(75));
    assert_eq!(server.request("GET", "/ping", "").0, 200);
    let _report = server.stop();
}

/// The reason names it, where there are limits.
#[test]
fn out_of_memory_while_it_serves() {
    for who in As::all() {
        let scene = scene(who);
        let mut given = given(&scene, "hog");
        given.resources.memory_bytes = Some(64 << 20);
        let mut server = Server::start(&scene, &given, &[]);
        server.until_healthy();
        // Whoever may not set a limit is told so, and has none.
        let told = format!("{:?}", server.events());
        if told.contains("is not enforced") {
            assert_eq!(who, As::User);
            eprintln!("not as {who:?}: there is no cgroup controller by which to limit memory");
            assert_eq!(server.stop().outcome, Outcome::Stopped);
            continue;
        }
        let before = Footprint::of(process(&server));
        assert_eq!(server.invoke("hog 400000000"), (0, String::new()));
        let report = server.end();
        let Outcome::Failed { reason, .. } = &report.outcome else { panic!("{report:?}") };
        let words = "exceeded its memory limit and was killed while it served";
        assert!(reason.contains(words), "{reason}");
        assert!(report.exit.unwrap().out_of_memory, "{report:?}");
        let job = server.folder().file_name().unwrap().to_str().unwrap().to_owned();
        assert_none_of(&scene, &job, &before, server.folder());
    }
}

/// The helper, or the keeper, dies: the container does, and the warden says so.
#[test]
fn the_helper_while_it_serves() {
    for who in As::all() {
        let scene = scene(who);
        let mut server = Server::start(&scene, &given(&scene, "helper"), &[]);
        server.until_healthy();
        let warden = process(&server);
        let before = Footprint::of(warden);
        let helper = warden.children().into_iter().find(|p| p.command().contains(" box"));
        helper.unwrap().kill();
        let report = server.end();
        assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
        let job = server.folder().file_name().unwrap().to_str().unwrap().to_owned();
        assert_none_of(&scene, &job, &before, server.folder());
        assert!(below(server.folder()).iter().all(|p| !p.ends_with("door")));
    }
}
