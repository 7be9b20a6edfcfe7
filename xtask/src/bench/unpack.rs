//! How long a local OCI image of several gzip layers takes to be verified and unpacked, against
//! `umoci unpack`.

use super::sample::Samples;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

const RUNS: usize = 5;
const LAYERS: u64 = 4;
const FILES: u64 = 1500;
const FOLDERS: u64 = 100;
/// Words of the vocabulary that files are written with: they compress to about a third.
const WORDS: u64 = 4096;

pub(super) fn measure(bench: &Bench) -> Measured {
    tools::need("umoci")?;
    let layout = bench.scratch.join("layout");
    make_image(bench, &layout)?;
    let reference = format!("{}:bench", layout.display());
    let (state, bundle) = (bench.scratch.join("unpack"), bench.scratch.join("umoci"));
    let (mut ours, mut umoci) = (Samples::default(), Samples::default());
    for run in 0..=RUNS {
        let mut peer = Command::new("umoci");
        peer.arg("unpack").args((!bench.root).then_some("--rootless"));
        tools::sync()?;
        let theirs = tools::time(peer.args(["--image", &reference]).arg(&bundle))?;
        tools::sync()?;
        let mut pull = bench.belljar(&state);
        let mine = tools::time(pull.args(["image", "pull", &format!("oci:{reference}")]))?;
        tools::sync()?;
        // The first run warms the page cache.
        if run > 0 {
            umoci.push(theirs);
            ours.push(mine);
        }
        // Through the shell's tool: what an image makes unreadable, root may still remove.
        tools::finish(Command::new("rm").arg("-rf").args([&state, &bundle]))?;
    }
    let against = Against::Speed { peer: "umoci unpack", samples: umoci, at_least: 2.0 };
    Ok(vec![Row { what: "unpack 4 gzip layers", unit: "ms", ours, against }])
}

/// An image by umoci itself, each folder one layer.
fn make_image(bench: &Bench, layout: &Path) -> Result<(), String> {
    let umoci = |arguments: &[&str]| tools::output("umoci", arguments).map(drop);
    let tagged = format!("{}:bench", layout.display());
    umoci(&["init", "--layout", &layout.display().to_string()])?;
    umoci(&["new", "--image", &tagged])?;
    let source = bench.scratch.join("layer");
    for layer in 0..LAYERS {
        make_tree(&source, layer)?;
        let rootless: &[&str] = if bench.root { &[] } else { &["--rootless"] };
        let target = format!("/layer-{layer}");
        let mut insert = Command::new("umoci");
        insert.arg("insert").args(rootless).args(["--image", &tagged]);
        tools::finish(insert.arg(&source).arg(&target))?;
        tools::remove(&source)?;
    }
    Ok(())
}

/// Files as in a Python environment: mostly small texts, a few large binaries.
fn make_tree(at: &Path, seed: u64) -> Result<(), String> {
    let mut noise = Noise::new(seed + 1);
    for folder in 0..FOLDERS {
        tools::make_folder(&at.join(folder.to_string()))?;
    }
    for file in 0..FILES {
        let path = at.join((file % FOLDERS).to_string()).join(format!("file-{file}"));
        let content = if file % 100 == 0 {
            noise.bytes(1 << 20)
        } else {
            let length = usize::try_from(noise.next() % (64 << 10)).unwrap_or(0);
            text(&mut noise, length)
        };
        fs::write(&path, content).map_err(|e| format!("write {}: {e}", path.display()))?;
    }
    Ok(())
}

fn text(noise: &mut Noise, length: usize) -> Vec<u8> {
    let mut all = String::with_capacity(length + 16);
    while all.len() < length {
        let word = (noise.next() % WORDS) * 0x2_4d69;
        // Writing to a String cannot fail.
        let _ = write!(all, "{word:x} ");
    }
    all.into_bytes()
}
