//! `belljar quickstart`: the example image, a real training job on real data, and the proof.

use crate::args::QuickstartArgs;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::image_store::{Import, Store};
use crate::run::state_path;
use crate::screen::Look;
use crate::serve::{Around, ask};
use crate::summary;
use crate::terminal::{Console, printable, quoted};
use crate::train::job;
use crate::trouble::Trouble;
use belljar_control::request::TrainRequest;
use belljar_control::request::serve::ServeRequest;
use belljar_control::serving::Request;
use belljar_control::state::State;
use belljar_domain::size::human_bytes;
use belljar_domain::{Outcome, Report};
use belljar_warden::progress::Silent;
use owo_colors::OwoColorize;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const TAG: &str = "belljar/digits";
/// Where the program stands in the image; it is the ENTRYPOINT, and told `train` or `serve`.
const PROGRAM_IN_IMAGE: &str = "usr/bin/digits";
const METRIC: (&str, &str) = ("accuracy", "^accuracy=([0-9.]+)");
/// Folders searched for the program, below the build's: one for each kind of machine.
const MAX_TRIPLES: usize = 32;

pub(crate) fn run(
    deps: Deps,
    console: &Console,
    given: Option<&Path>,
    args: QuickstartArgs,
) -> Result<Exit, Trouble> {
    let program = program(&deps, args.program)?;
    let data = data(&deps, args.data)?;
    let state = State::open(&state_path(&deps, given)?)?;

    console.say(&format!("{}", "Belljar quickstart".bold()));
    console
        .say("A program learns to read handwritten digits in a container sealed off the network.");
    console.say("It also tries to call home, and to reach a metadata service and a package index.");
    console.say("");
    let size = import(&state, &program)?;
    console.say(&format!("image {}  one static program, {}", TAG.bold(), human_bytes(size)));

    let output = state.path().join("quickstart");
    let verify = verify_command(&deps, given);
    let around = Around::of(&deps, given)?;
    let done = job(deps, console, given, request(&data, &output)?, Look::Lines)?;
    summary::print(console, &done.ended.report, &done.shown);
    done.tell(console);
    console.say("");
    let report = &done.ended.report;
    if report.outcome != Outcome::Completed {
        console
            .say("The example did not complete. `belljar doctor` says what this machine can do.");
        return Ok(Exit::of(&report.outcome));
    }
    accuracy(console, report);
    let served = predict(console, around, report, &data)?;
    close(console, report.evidence.iter().chain(&served), &verify);
    Ok(Exit::of(&report.outcome))
}

/// Serves the model, sealed like its training, and shows it a digit that it never saw. Answers where
/// the evidence of that is.
fn predict(
    console: &Console,
    around: Around,
    report: &Report,
    data: &Path,
) -> Result<Vec<String>, Trouble> {
    let test = data.join("test.csv");
    let rows = fs::read_to_string(&test).map_err(|e| Trouble::file("read", &test, &e))?;
    let row = rows.lines().next().and_then(|row| row.split_once(','));
    let Some((label, pixels)) = row else {
        return Err(Trouble::new(Exit::Usage, format!("{} has no row", test.display())));
    };
    let model = report.artifacts.iter().find(|a| a.name == "model.tar.gz");
    let request = ServeRequest {
        name: Some(report.job.to_string()),
        image: TAG.to_owned(),
        model: model.map(|m| m.uri.clone()),
        ..ServeRequest::default()
    };
    console.say("");
    console.say("The model now answers from another sealed container. This is shown to it:");
    console.say("");
    drawing(pixels).iter().for_each(|line| console.say(&format!("    {line}")));
    console.say("");
    let hosting = around.prepare(console, request)?;
    let (answer, evidence) = ask(hosting, Request::of("text/csv", format!("{pixels}\n")))?;
    let answer = String::from_utf8_lossy(&answer);
    console.say(&format!(
        "It says {}; whoever wrote it says {}.",
        printable(answer.trim()).green().bold(),
        printable(label).bold()
    ));
    Ok(evidence)
}

/// A digit of 8 by 8 pixels from 0 to 16, two characters a pixel.
fn drawing(pixels: &str) -> Vec<String> {
    const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];
    let shade = |text: &str| {
        let value: usize = text.trim().parse().unwrap_or_default();
        SHADES.get(value.div_ceil(4)).copied().unwrap_or("██")
    };
    let shades: Vec<&str> = pixels.split(',').map(shade).collect();
    shades.chunks(8).map(|line| line.concat().trim_end().to_owned()).collect()
}

fn request(data: &Path, output: &Path) -> Result<TrainRequest, Trouble> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Trouble::new(Exit::Usage, format!("the path {} is not UTF-8", path.display()))
                .hint("give other folders with --data and --state")
        })
    };
    let channel = |name: &str| -> Result<(String, String), Trouble> {
        Ok((name.to_owned(), text(&data.join(format!("{name}.csv")))?))
    };
    Ok(TrainRequest {
        image: TAG.to_owned(),
        output: text(output)?,
        inputs: vec![channel("train")?, channel("test")?],
        metrics: vec![(METRIC.0.to_owned(), METRIC.1.to_owned())],
        ..TrainRequest::default()
    })
}

/// What it came to.
fn accuracy(console: &Console, report: &Report) {
    match report.metrics.iter().find(|m| m.name == METRIC.0) {
        Some(m) => console.say(&format!(
            "Held-out accuracy: {} on digits that it never saw.",
            format!("{:.1} %", m.value * 100.0).green().bold()
        )),
        None => console.warn("the program printed no accuracy"),
    }
}

/// What to type next.
fn close<'a>(console: &Console, evidence: impl Iterator<Item = &'a String>, verify: &str) {
    console.say("");
    console.say("All of this is signed. Check it:");
    for file in evidence {
        console.say(&format!("  {}", format!("{verify} {}", quoted(file)).cyan()));
    }
}

/// What to type from where the user is: this program may not be on the `PATH` yet.
fn verify_command(deps: &Deps, given: Option<&Path>) -> String {
    let program = deps.executable.as_deref().map_or_else(
        || "belljar".to_owned(),
        |e| quoted(&e.strip_prefix(&deps.directory).unwrap_or(e).display().to_string()),
    );
    let state = given.map(|s| format!(" --state {}", quoted(&s.display().to_string())));
    format!("{program} evidence verify{}", state.unwrap_or_default())
}

/// Puts the program into a root file system of its own and imports that. Modes and times are
/// always the same, so that the same program is the same image, with the same digest.
fn import(state: &State, program: &Path) -> Result<u64, Trouble> {
    let root = tempfile::Builder::new()
        .prefix(".quickstart-")
        .tempdir_in(state.path())
        .map_err(|e| Trouble::file("make a folder in", state.path(), &e))?;
    let size = furnish(root.path(), program)
        .map_err(|e| Trouble::file("put into an image", program, &e))?;
    let import = Import {
        tag: TAG.to_owned(),
        entrypoint: vec![format!("/{PROGRAM_IN_IMAGE}")],
        cmd: Vec::new(),
        env: vec![("PATH".to_owned(), "/usr/bin".to_owned())],
        working_dir: None,
        user: None,
    };
    Store::open(&state.images())?.import(root.path(), &import, &Silent)?;
    Ok(size)
}

/// Lays the program out below `root`; answers its size.
fn furnish(root: &Path, program: &Path) -> io::Result<u64> {
    let copy = root.join(PROGRAM_IN_IMAGE);
    if let Some(folder) = copy.parent() {
        fs::create_dir_all(folder)?;
    }
    let size = fs::copy(program, &copy)?;
    // From the file up: what is written into a folder changes the folder's time.
    for path in copy.ancestors().take_while(|p| p.starts_with(root)) {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
        fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?;
    }
    Ok(size)
}

/// The example's program: given, or beside the build (`target/static/<triple>/release/digits`).
fn program(deps: &Deps, given: Option<PathBuf>) -> Result<PathBuf, Trouble> {
    const HINT: &str = "`make static` builds it; or give --program FILE";
    if let Some(path) = given.map(|p| deps.directory.join(p)) {
        if path.is_file() {
            return Ok(path);
        }
        let text = format!("there is no program at {}", path.display());
        return Err(Trouble::new(Exit::Usage, text).hint(HINT));
    }
    let target = deps.executable.as_deref().and_then(Path::parent).and_then(Path::parent);
    let folder = target.map(|t| t.join("static"));
    let found = folder.as_deref().and_then(newest_program);
    found.ok_or_else(|| {
        let place = folder.unwrap_or_default();
        let text = format!("the example's program is not built (looked in {})", place.display());
        Trouble::new(Exit::Usage, text).hint(HINT)
    })
}

fn newest_program(folder: &Path) -> Option<PathBuf> {
    // A folder that is not readable has no program for us.
    fs::read_dir(folder)
        .ok()?
        .take(MAX_TRIPLES)
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("release/digits");
            let modified =
                fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.modified().ok()?;
            Some((modified, path))
        })
        .max()
        .map(|(_, path)| path)
}

/// The example's data: given, or in the source tree (two folders above the build's).
fn data(deps: &Deps, given: Option<PathBuf>) -> Result<PathBuf, Trouble> {
    let is_data = |p: &PathBuf| p.join("train.csv").is_file() && p.join("test.csv").is_file();
    let chosen = match given {
        Some(path) => Some(deps.directory.join(path)),
        None => deps
            .executable
            .as_deref()
            .and_then(|e| e.ancestors().nth(3))
            .map(|tree| tree.join("examples/digits/data")),
    };
    chosen.clone().filter(is_data).ok_or_else(|| {
        let place = chosen.unwrap_or_default();
        let text = format!("train.csv and test.csv are not in {}", place.display());
        Trouble::new(Exit::Usage, text).hint("give the folder of both with --data DIR")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_domain::{MetricDefinition, Timestamp, metrics};

    #[test]
    fn the_metric_reads_the_examples_line() {
        let definition = MetricDefinition::new(METRIC.0, METRIC.1).unwrap();
        let found = metrics::scan(&[definition], "accuracy=0.9733", Timestamp::from_millis(0));
        assert!((found[0].value - 0.9733).abs() < f64::EPSILON);
    }

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        assert_eq!(quoted("/a/b-1.json"), "/a/b-1.json");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }

    #[test]
    fn the_same_program_is_the_same_image() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        let digests = ["a", "b"].map(|name| {
            fs::write(&program, "always the same").unwrap();
            fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
            let state = State::open(&dir.path().join(name)).unwrap();
            import(&state, &program).unwrap();
            Store::open(&state.images()).unwrap().list().unwrap().remove(0).digest
        });
        assert_eq!(digests[0], digests[1]);
    }

    #[test]
    fn the_program_is_found_whatever_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        assert!(newest_program(dir.path()).is_none());
        let release = dir.path().join("some-triple/release");
        fs::create_dir_all(&release).unwrap();
        fs::write(release.join("digits"), "x").unwrap();
        assert_eq!(newest_program(dir.path()).unwrap(), release.join("digits"));
    }
}
