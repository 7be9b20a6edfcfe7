//! The programs under test, as `make build` leaves them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The programs under test, where every user can execute them.
#[derive(Debug)]
pub struct Tools {
    belljar: PathBuf,
    warden: PathBuf,
    probe: PathBuf,
    _copies: Option<TempDir>,
}

impl Tools {
    /// Finds the programs: by `BELLJAR_BIN`, `BELLJAR_WARDEN` and `BELLJAR_PROBE`, or in `target`.
    /// Below a folder that others may not enter (a home), they are copied to one that they may.
    ///
    /// # Panics
    /// If one is not built.
    #[must_use]
    pub fn find() -> Self {
        let mut found = [
            find("belljar", "BELLJAR_BIN"),
            find("belljar-warden", "BELLJAR_WARDEN"),
            find("probe", "BELLJAR_PROBE"),
        ];
        let open = found.iter().all(|p| p.ancestors().skip(1).all(is_open));
        let copies = (!open).then(|| {
            let folder = tempfile::Builder::new().prefix("belljar-tools-").tempdir();
            let folder = folder.expect("a folder");
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
            for program in &mut found {
                let copy = folder.path().join(program.file_name().expect("a name"));
                fs::copy(&program, &copy).expect("copy a program");
                *program = copy;
            }
            folder
        });
        let [belljar, warden, probe] = found;
        Self { belljar, warden, probe, _copies: copies }
    }

    /// `belljar`.
    #[must_use]
    pub fn belljar(&self) -> &Path {
        &self.belljar
    }

    /// `belljar-warden`.
    #[must_use]
    pub fn warden(&self) -> &Path {
        &self.warden
    }

    /// The static probe.
    #[must_use]
    pub fn probe(&self) -> &Path {
        &self.probe
    }
}

fn is_open(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & 0o001 != 0)
}

fn find(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return fs::canonicalize(path).expect("the program that the variable names");
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let mut candidates = vec![target.join("release").join(name)];
    for triple in fs::read_dir(target.join("static")).into_iter().flatten().flatten() {
        candidates.push(triple.path().join("release").join(name));
    }
    let found = candidates.into_iter().find_map(|p| fs::canonicalize(p).ok());
    found.unwrap_or_else(|| panic!("{name} is not built: run `make build`, or set {variable}"))
}
