//! A panic is a bug: it is told as one, with what to do.

use crate::exit::Exit;
use std::io::Write;

/// Makes every panic, in any thread, end the program with exit code 70 and say how to report it.
/// The warden notices that its caller is gone and stops the job in order.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let text = format!(
            "\nbelljar: this is a bug in Belljar, and not your fault.\n  {}\n  version {}\n\
             hint: please report it with the lines above and the command that you typed;\n      \
             a job that was running is being stopped, its folder stays for inspection\n",
            info.to_string().replace('\n', "\n  "),
            env!("CARGO_PKG_VERSION"),
        );
        // If standard error is closed there is nobody to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
        std::process::exit(i32::from(Exit::Bug as u8));
    }));
}

/// Makes a panic a line of the service's log, with what to do: one request or task fails, and the
/// service goes on.
pub(crate) fn outlive() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string().replace('\n', " | ");
        tracing::error!(
            version = env!("CARGO_PKG_VERSION"),
            "this is a bug in Belljar, please report it: {text}"
        );
    }));
}
