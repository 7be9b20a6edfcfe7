//! `belljar doctor`: what this machine can do, and what to change. What the kernel can do is
//! asked of the warden, by doing it; the rest is looked at here.

use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::{state_path, warden_path};
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::local::environment;
use belljar_control::state::State;
use belljar_domain::size::human_bytes;
use owo_colors::OwoColorize;
use serde::Deserialize;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of the warden's findings that are read.
const MAX_FINDINGS: u64 = 1 << 20;
/// Free space below which a job with a common image is likely to fail.
const LITTLE_SPACE: u64 = 2 << 30;
/// Characters before a line is broken: no more than are pleasant to read, however wide the
/// terminal; and where there is none, nothing is known that would be better.
pub(crate) const WIDTH: usize = 100;

/// One thing that was looked at. `belljar-warden doctor` prints these, one JSON object a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Check {
    check: String,
    state: CheckState,
    finding: String,
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CheckState {
    Ok,
    Limited,
    Missing,
}

impl Check {
    fn new(check: &str, state: CheckState, finding: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state, finding: finding.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    state: Option<&Path>,
) -> Result<Exit, Trouble> {
    let mut checks = warden(&deps);
    checks.push(state_folder(&deps, state));
    checks.push(docker(Path::new("/var/run/docker.sock")));
    checks.push(credentials(&deps));
    let can = !checks.iter().any(|c| c.state == CheckState::Missing);
    let mut text = String::new();
    let width = checks.iter().map(|c| c.check.chars().count()).max().unwrap_or(0);
    let columns = deps.stdout_columns.map_or(WIDTH, |n| usize::from(n).min(WIDTH));
    for check in &checks {
        render(&mut text, check, width, columns);
    }
    let limited = checks.iter().filter(|c| c.state == CheckState::Limited).count();
    text.push('\n');
    text.push_str(&match (can, limited) {
        (true, 0) => format!("{}\n", "This machine can run sealed jobs.".green().bold()),
        (true, n) => format!(
            "{} {n} thing{} limited, see above.\n",
            "This machine can run sealed jobs.".green().bold(),
            if n == 1 { " is" } else { "s are" }
        ),
        (false, _) => format!(
            "{} What is marked ✗ must be changed first.\n",
            "This machine cannot run sealed jobs.".red().bold()
        ),
    });
    let plain = anstream::adapter::strip_str(&text).to_string();
    let text = if console.colours_stdout() { text } else { plain };
    deps.print(&text)?;
    Ok(if can { Exit::Completed } else { Exit::Machine })
}

fn render(out: &mut String, check: &Check, width: usize, columns: usize) {
    let mark = match check.state {
        CheckState::Ok => "✓".green().to_string(),
        CheckState::Limited => "!".yellow().bold().to_string(),
        CheckState::Missing => "✗".red().bold().to_string(),
    };
    let name = format!("{:width$}", printable(&check.check));
    let indent = " ".repeat(width + 5);
    let finding = wrap(&printable(&check.finding), &indent, columns);
    out.push_str(&format!(" {mark} {}  {finding}\n", name.bold()));
    if let Some(remedy) = &check.remedy {
        let remedy = wrap(&format!("→ {}", printable(remedy)), &format!("{indent}  "), columns);
        out.push_str(&format!("{indent}{}\n", remedy.cyan()));
    }
}

/// Breaks text at spaces; further lines are indented.
pub(crate) fn wrap(text: &str, indent: &str, columns: usize) -> String {
    let room = columns.saturating_sub(indent.len()).max(30);
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > room {
            out.push('\n');
            out.push_str(indent);
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// The warden's own findings, or why there are none.
fn warden(deps: &Deps) -> Vec<Check> {
    let program = match warden_path(deps) {
        Ok(program) => program,
        Err(trouble) => {
            let check = Check::new("warden", CheckState::Missing, trouble.text);
            return vec![check.remedy(trouble.hint.unwrap_or_default())];
        }
    };
    let found = Check::new("warden", CheckState::Ok, program.display().to_string());
    match ask(deps, &program) {
        Ok(checks) => std::iter::once(found).chain(checks).collect(),
        Err(why) => vec![
            Check::new(
                "warden",
                CheckState::Missing,
                format!("{} gives no findings: {why}", program.display()),
            )
            .remedy("build belljar and belljar-warden together: `cargo build -p belljar`"),
        ],
    }
}

fn ask(deps: &Deps, program: &Path) -> Result<Vec<Check>, String> {
    let mut child = Command::new(program)
        .arg("doctor")
        .env_clear()
        .envs(environment::for_warden(deps.variables.iter().cloned()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("it does not start: {e}"))?;
    let mut checks = Vec::new();
    let mut wrong = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout.take(MAX_FINDINGS)).lines() {
            let line = line.map_err(|e| e.to_string());
            match line.and_then(|l| serde_json::from_str(&l).map_err(|e| e.to_string())) {
                Ok(check) => checks.push(check),
                Err(e) => {
                    wrong = Some(format!("one of its findings is not readable: {e}"));
                    break;
                }
            }
        }
    }
    // It is not read any more: a closed pipe ends it.
    let status = child.wait().map_err(|e| e.to_string())?;
    match wrong {
        Some(wrong) => Err(wrong),
        None if checks.is_empty() => Err(format!("it found nothing ({status})")),
        None => Ok(checks),
    }
}

fn state_folder(deps: &Deps, given: Option<&Path>) -> Check {
    const NAME: &str = "state folder";
    let opened = state_path(deps, given).and_then(|p| State::open(&p).map_err(Trouble::from));
    let state = match opened {
        Ok(state) => state,
        Err(t) => {
            return Check::new(NAME, CheckState::Missing, t.text)
                .remedy(t.hint.unwrap_or_else(|| "give --state DIR".to_owned()));
        }
    };
    let path = state.path();
    let shown = path.display();
    if let Err(e) = tempfile::tempfile_in(path) {
        return Check::new(NAME, CheckState::Missing, format!("{shown} is not writable: {e}"))
            .remedy("give a folder that you may write with --state DIR");
    }
    let open_to_others = std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o077 != 0);
    if open_to_others {
        return Check::new(NAME, CheckState::Limited, format!("{shown} is open to other users"))
            .remedy(format!("chmod 700 {shown}"));
    }
    match rustix::fs::statvfs(path) {
        Ok(v) => {
            let free = v.f_bavail.saturating_mul(v.f_frsize);
            let text = format!("{shown}, {} free", human_bytes(free));
            if free < LITTLE_SPACE {
                return Check::new(NAME, CheckState::Limited, text)
                    .remedy("free some space, or give another disk with --state DIR");
            }
            Check::new(NAME, CheckState::Ok, text)
        }
        Err(e) => {
            Check::new(NAME, CheckState::Limited, format!("{shown}, free space unknown: {e}"))
        }
    }
}

fn docker(socket: &Path) -> Check {
    let text = match UnixStream::connect(socket) {
        Ok(_) => "its daemon answers: docker-daemon: images can be used".to_owned(),
        Err(_) => "no daemon here; only docker-daemon: images would need one".to_owned(),
    };
    Check::new("docker", CheckState::Ok, text)
}

/// Where registry credentials are looked for, in order.
fn credentials(deps: &Deps) -> Check {
    let at = |variable: &str, below: &str| -> Option<PathBuf> {
        deps.variable(variable).filter(|v| !v.is_empty()).map(|v: &OsStr| Path::new(v).join(below))
    };
    let places = [
        at("REGISTRY_AUTH_FILE", ""),
        at("XDG_RUNTIME_DIR", "containers/auth.json"),
        at("DOCKER_CONFIG", "config.json"),
        at("HOME", ".docker/config.json"),
    ];
    let text = match places.into_iter().flatten().find(|p| p.is_file()) {
        Some(path) => format!("credentials from {}", path.display()),
        None => "no credentials: public images can be pulled".to_owned(),
    };
    Check::new("registries", CheckState::Ok, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("a b", "", 80), "a b");
        for columns in [60, 80, WIDTH] {
            let long = wrap(&"word ".repeat(40), "    ", columns);
            // The first line is written behind what is as wide as the indent.
            assert!(long.lines().next().is_some_and(|l| l.len() + 4 <= columns), "{long}");
            assert!(long.lines().skip(1).all(|l| l.len() <= columns), "{long}");
            assert!(long.lines().skip(1).all(|l| l.starts_with("    word")));
        }
    }

    #[test]
    fn an_unknown_state_is_refused() {
        let line = r#"{"check":"x","state":"maybe","finding":"y","remedy":null}"#;
        assert!(serde_json::from_str::<Check>(line).is_err());
    }
}
