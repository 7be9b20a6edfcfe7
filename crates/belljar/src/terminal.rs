//! Where Belljar's own words go: standard error, with colours where they are seen as such.

use crate::args::Global;
use crate::deps::Deps;
use crate::trouble::Trouble;
use anstream::ColorChoice;
use indicatif::{MultiProgress, ProgressDrawTarget};
use owo_colors::OwoColorize;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Standard error, shared by all who speak. Colours are stripped behind it where they would not
/// be seen.
#[derive(Clone)]
pub(crate) struct Console {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    bars: MultiProgress,
    quiet: bool,
    verbose: bool,
    terminal: bool,
    colours_stdout: bool,
}

impl Console {
    pub(crate) fn new(deps: &Deps, global: &Global) -> Self {
        let terminal = deps.stderr_is_terminal && !global.quiet;
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            out: Arc::new(Mutex::new((deps.stderr)(global.color.choice()))),
            bars: MultiProgress::with_draw_target(target),
            quiet: global.quiet,
            verbose: global.verbose,
            terminal,
            colours_stdout: match global.color.choice() {
                ColorChoice::Auto => deps.stdout_has_colours,
                choice => choice != ColorChoice::Never,
            },
        }
    }

    /// Whether progress is drawn.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether details are wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether a table on standard output may be coloured.
    pub(crate) fn colours_stdout(&self) -> bool {
        self.colours_stdout
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    fn write(&self, text: &str) {
        self.bars.suspend(|| {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody can be told that standard error is closed.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    /// Something that a person may like to know.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.write(text);
        }
    }

    /// What everybody must know, also those who asked for quiet: that a job came to nothing.
    pub(crate) fn insist(&self, text: &str) {
        self.write(text);
    }

    /// Something for those who look closely.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose && !self.quiet {
            self.write(&text.dimmed().to_string());
        }
    }

    /// Something that a person should know.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {}", "warning:".yellow().bold(), printable(text)));
    }

    /// What went wrong; told even if nothing else is.
    pub(crate) fn trouble(&self, trouble: &Trouble) {
        self.write(&format!("{} {}", "error:".red().bold(), printable(&trouble.text)));
        if let Some(hint) = &trouble.hint {
            self.write(&format!("{} {}", "hint:".cyan().bold(), printable(hint)));
        }
    }
}

/// Text from elsewhere (names that a container asked for, a server's words) with everything that
/// a terminal would act on made visible. Newlines too: one message is one line.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\n' => safe.push_str(" | "),
            '\t' => safe.push(' '),
            c if steers => {
                // Writing into a String cannot fail.
                let _ = write!(safe, "{}", c.escape_unicode());
            }
            c => safe.push(c),
        }
    }
    safe
}

/// For a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_from_elsewhere_steers_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\u{9b}\u{202e}"), "a\\u{1b}[2Jb\\u{d}\\u{9b}\\u{202e}");
        assert_eq!(printable("ä\n\tb"), "ä |  b");
    }
}
