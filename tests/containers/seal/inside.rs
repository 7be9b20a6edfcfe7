//! The probe's lines, from a sealed container or from outside of one.

use belljar_domain::{Outcome, Stream};
use belljar_testkit::{As, Run, Scene, Training};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one line of `probe attempts` said.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) result: String,
    pub(crate) value: Value,
}

/// The lines by the name of the probe.
pub(crate) type Lines = BTreeMap<String, Seen>;

/// Reads the probe's output; a line that is not one of its own, or a name twice, is a failure.
pub(crate) fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Lines {
    let mut all = Lines::new();
    for line in lines {
        let mut parsed: Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |v: &Value| v.as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
        let seen = Seen { result: text(&parsed["result"]), value: parsed["value"].take() };
        let name = text(&parsed["probe"]);
        assert!(all.insert(name, seen).is_none(), "twice: {line}");
    }
    all
}

/// A scene with the probe's image.
pub(crate) fn scene(who: As) -> Scene {
    let scene = Scene::new(who);
    scene.import_probe();
    scene
}

/// Runs the probe in a sealed job; it must complete.
pub(crate) fn probe(scene: &Scene, job: &str, arguments: &[&str]) -> Run {
    complete(scene, &Training::probe(job, arguments))
}

/// Runs a job, which must complete.
pub(crate) fn complete(scene: &Scene, training: &Training) -> Run {
    let run = training.run(scene);
    assert_eq!(run.report().outcome, Outcome::Completed, "{:?} {run:?}", scene.who());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run
}

/// `probe attempts` with these targets in a sealed job.
pub(crate) fn attempts(scene: &Scene, job: &str, targets: &[&str]) -> (Run, Lines) {
    let run = probe(scene, job, &[&["attempts"], targets].concat());
    let lines = read(run.lines(Stream::Stdout));
    (run, lines)
}

/// `probe ARGUMENTS` on the host, as who acts in the scene.
pub(crate) fn outside(scene: &Scene, arguments: &[&str]) -> Lines {
    let output = scene.command(scene.tools().probe()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(std::str::from_utf8(&output.stdout).unwrap().lines())
}

/// The value of a fact.
pub(crate) fn fact<'a>(lines: &'a Lines, name: &str) -> &'a Value {
    &lines.get(name).unwrap_or_else(|| panic!("no {name}: {lines:?}")).value
}

/// The text of a fact.
pub(crate) fn text<'a>(lines: &'a Lines, name: &str) -> &'a str {
    fact(lines, name).as_str().unwrap_or_else(|| panic!("{name} is no text: {lines:?}"))
}
