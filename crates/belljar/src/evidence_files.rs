//! Evidence as the commands use it: the warden's own reading and checking.

use crate::exit::Exit;
use crate::trouble::Trouble;
use belljar_domain::HostName;
use belljar_warden::evidence::dsse::MAX_ENVELOPE;
use belljar_warden::evidence::{PublicKey, Verdict, verify as check};
use belljar_warden::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The statement in readable form.
pub(crate) fn show(file: &Path) -> Result<String, Trouble> {
    let verdict = check(&read(file)?, &[]).map_err(Failure::from)?;
    Ok(format!(
        "{}\nThe signature was not checked: `belljar evidence verify` does that.\n",
        belljar_warden::evidence::show(&verdict.account)
    ))
}

/// What is proved, in words, and whether it holds. The keys are those given, else this machine's
/// own; artifacts that lie where the job put them are compared too.
pub(crate) fn verify(
    file: &Path,
    keys: &[PathBuf],
    state: &Path,
) -> Result<(String, Exit), Trouble> {
    let envelope = read(file)?;
    let mut keys = keys
        .iter()
        .map(|path| PublicKey::read(path))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::from)?;
    if keys.is_empty() {
        keys.extend(PublicKey::of_host(&state.join("keys")).map_err(Failure::from)?);
    }
    let mut verdict = check(&envelope, &keys).map_err(Failure::from)?;
    for (name, path) in artifacts(&verdict, file) {
        verdict.check_artifact(&name, &path).map_err(|e| Trouble::of(Exit::Failed, &e, None))?;
    }
    for (host, path) in instances(&verdict, file) {
        verdict.check_instance(&host, &read(&path)?, &keys);
    }
    let exit = if verdict.holds() { Exit::Completed } else { Exit::Failed };
    Ok((verdict.render(), exit))
}

/// The artifacts that are there: `JOB/output/NAME` beside `JOB/evidence/FILE`. The names come from
/// a file that is not trusted: only plain names are looked for.
fn artifacts(verdict: &Verdict, file: &Path) -> Vec<(String, PathBuf)> {
    let Some(job) = file.parent().and_then(Path::parent) else { return Vec::new() };
    let names = verdict.account.subject().iter().map(|s| s.name.as_str());
    names
        .filter(|name| is_plain(name))
        .map(|name| (name.to_owned(), job.join("output").join(name)))
        .filter(|(_, path)| path.is_file())
        .collect()
}

/// The evidence of a job's instances that lies beside the job's own.
fn instances(verdict: &Verdict, file: &Path) -> Vec<(HostName, PathBuf)> {
    let beside = |host: &HostName| file.with_file_name(format!("{host}.intoto.json"));
    let named = verdict.account.instances().into_iter();
    named.map(|(host, _)| (host.clone(), beside(host))).filter(|(_, path)| path.is_file()).collect()
}

fn is_plain(name: &str) -> bool {
    let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
    !name.is_empty() && Path::new(name).components().all(normal)
}

/// The whole file, if it is not larger than an envelope may be.
fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let wrong = |e| Trouble::file("read", path, &e);
    let file = File::open(path).map_err(wrong)?;
    let limit = u64::try_from(MAX_ENVELOPE).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_looked_for_in_its_own_folder_only() {
        assert!(is_plain("model.tar.gz") && is_plain("model/a/b"));
        for bad in ["", "..", "/etc/passwd", "../model.tar.gz", "model/../../b"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
