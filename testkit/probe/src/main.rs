//! Tries every way out of a container, and does what tests need done inside one. Run outside of a
//! container it is the positive control: nothing that it does is harmful where it succeeds.

mod act;
mod echo;
mod files;
mod flow;
mod kernel;
mod meet;
mod network;
mod peers;
mod report;
mod serve;
mod sys;
mod world;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

/// The hyperparameters of a job whose image is this program.
const HYPERPARAMETERS: &str = "/opt/ml/input/config/hyperparameters.json";
/// Set, it makes `serve` an echo: a model has an environment, and no arguments.
const ECHO: &str = "PROBE_ECHO";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<ExitCode> {
    let (command, rest) = args.split_first().map_or(("", args), |(c, r)| (c.as_str(), r));
    let text = |i: usize| rest.get(i).map(String::as_str).ok_or_else(|| usage(command));
    let done = Ok(ExitCode::SUCCESS);
    match command {
        "train" => return train(),
        "serve" if std::env::var_os(ECHO).is_some() => return echo::run(8080),
        "serve" => return serve::run(rest),
        "echo" => return echo::run(number(text(0)?)?),
        "flow" => return flow::run(rest).unwrap_or_else(|| Err(usage(command))),
        "each" => return run(&words(peers::own(rest)?)),
        "in-turn" => return in_turn(rest),
        "answer" => return peers::answer(number(text(0)?)?, number(text(1)?)?, text(2)?),
        "proxy" => return peers::proxy(number(text(0)?)?, rest.get(1..).unwrap_or_default()),
        "ask" => return Ok(peers::ask(rest)),
        "attempts" => {
            let (flag, targets) = match rest.split_first() {
                Some((flag, targets)) if flag.starts_with("--") => (flag.as_str(), targets),
                _ => ("", rest),
            };
            match flag {
                "" | "--outside" => {}
                "--world" => world::serve()?,
                _ => return Err(usage(command)),
            }
            network::all(targets, flag == "--outside");
            kernel::all();
            files::all();
        }
        "connect" => rest.iter().for_each(|target| network::connect(target)),
        "connect-many" => network::many(number(text(0)?)?, number(text(1)?)?),
        "scan-ports" => network::scan(number(text(0)?)?, number(text(1)?)?),
        "meet" => {
            let ports = rest.iter().map(|port| number(port)).collect::<io::Result<Vec<_>>>()?;
            return meet::meet(&ports);
        }
        "child" => kernel::child(rest),
        "ids" => files::ids(),
        "clock" => {
            let now = SystemTime::UNIX_EPOCH.elapsed().map_err(io::Error::other)?;
            println!("clock {}", now.as_nanos());
        }
        "sleep" => {
            let ignore_term = rest.get(1).is_some_and(|flag| flag == "--ignore-term");
            return Ok(act::sleep(number(text(0)?)?, ignore_term));
        }
        "trap-term" => return act::trap_term(number(text(0)?)?, rest.get(1)),
        "nested" => return act::nested(rest),
        "replace" => return act::replace(text(0)?, text(1)?),
        "hold" => return act::hold(text(0)?),
        "cling" => return act::cling(),
        "deep" => return act::deep(text(0)?, number(text(1)?)?),
        "exit" => return Ok(ExitCode::from(number::<u8>(text(0)?)?)),
        "hog-memory" => return Ok(act::hog_memory(number(text(0)?)?)),
        "fork-bomb" => return Ok(act::fork_bomb(number(text(0)?)?)),
        "print-lines" => return act::print_lines(number(text(0)?)?),
        "tick" => return act::tick(number(text(0)?)?, number(text(1)?)?),
        "talk" => {
            return act::talk(number(text(0)?)?, number(text(1)?)?, number(text(2)?)?);
        }
        "fill" => return act::fill(text(0)?, number(text(1)?)?),
        "cat" => return act::cat(rest),
        "tree" => return act::tree(text(0)?),
        "write-failure" => return act::write_failure(text(0)?, number(text(1)?)?),
        "symlink-model" => {
            let dir = rest.first().map_or("/opt/ml/model", String::as_str);
            return act::hostile_model(Path::new(dir));
        }
        "--help" | "help" => println!("{}", include_str!("help.txt").trim_end()),
        _ => return Err(usage(command)),
    }
    done
}

/// Runs the command line in hyperparameter `probe`; words are split at spaces, and what is in
/// single quotes is one word. Without that hyperparameter: `attempts`.
fn train() -> io::Result<ExitCode> {
    let sent: serde_json::Value = serde_json::from_slice(&std::fs::read(HYPERPARAMETERS)?)?;
    let line = sent["probe"].as_str().unwrap_or("attempts");
    let args = words(line);
    if args.first().is_none_or(|first| first == "train") {
        return Err(usage("train"));
    }
    run(&args)
}

/// Runs command lines one after the other, up to the first that fails.
fn in_turn(lines: &[String]) -> io::Result<ExitCode> {
    for line in lines {
        let code = run(&words(line))?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            all.push(part.to_owned());
        } else {
            all.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    all
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| io::Error::other(format!("`{text}` is not a number or address in range")))
}

fn usage(command: &str) -> io::Error {
    io::Error::other(format!("wrong use of `{command}`; see probe --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words("exit 3"), ["exit", "3"]);
        assert_eq!(words("write-failure 'no such data' 2"), ["write-failure", "no such data", "2"]);
        assert!(words("  ").is_empty());
    }

    #[test]
    fn every_command_is_in_the_help() {
        let source = include_str!("main.rs");
        let help = include_str!("help.txt");
        let commands =
            source.lines().filter_map(|l| l.trim().strip_prefix('"')?.split_once("\" =>"));
        let mut count = 0;
        for (name, _) in commands.filter(|(name, _)| !name.contains('"')) {
            let in_help =
                if name.starts_with('-') { name.to_owned() } else { format!("probe {name}") };
            assert!(help.contains(&in_help), "{name}");
            count += 1;
        }
        assert!(count > 12, "{count}");
    }

    #[test]
    fn wrong_use_is_refused() {
        assert!(run(&["exit".to_owned()]).is_err());
        assert!(run(&["exit".to_owned(), "300".to_owned()]).is_err());
        assert!(run(&["no-such".to_owned()]).is_err());
    }
}
