//! The service's own words: `tracing`'s events as lines on standard error.

use crate::terminal::{Console, printable};
use std::fmt::{self, Write as _};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes events from now on: those that a person should know, and with `--verbose` each request.
pub(crate) fn install(console: Console) {
    let level = if console.is_verbose() { Level::DEBUG } else { Level::INFO };
    // One that is installed already stays: this process has had its say.
    let _ = tracing::subscriber::set_global_default(Lines { console, level });
}

struct Lines {
    console: Console,
    level: Level,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("belljar")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = belljar_domain::Timestamp::from_millis(
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        );
        let level = event.metadata().level();
        let text = printable(&format!("{}{}", line.message, line.fields));
        self.console.insist(&format!("{now} {level:5} {text}"));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
