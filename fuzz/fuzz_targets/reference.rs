//! Any text is a reference or an error; a reference is read back from what it is written as.
#![no_main]

use belljar_warden::image::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        let again: Reference = written.parse().expect("what is written can be read");
        assert_eq!(again, reference, "{written}");
    }
});
