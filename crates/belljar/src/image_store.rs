//! The image store as the commands use it: the warden's own, in words of this crate.

use crate::exit::Exit;
use crate::run::runtime;
use crate::trouble::Trouble;
use belljar_warden::failure::Failure;
use belljar_warden::image::{
    ImageError, ImageStore, ImageSummary, ImportConfig, LayerDetails, Reference, RegistryName,
};
use belljar_warden::progress::Progress;
use serde_json::json;
use std::path::Path;

/// One name of an image of the store.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) digest: String,
    /// Bytes of its layers, unpacked; shared layers count for each image.
    pub(crate) size: u64,
}

/// How an imported image is run.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) tag: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_dir: Option<String>,
    pub(crate) user: Option<String>,
}

/// The store.
pub(crate) struct Store(ImageStore);

impl Store {
    /// Opens it, making it if need be.
    pub(crate) fn open(root: &Path) -> Result<Self, Trouble> {
        Ok(Self(ImageStore::open(root).map_err(trouble)?))
    }

    /// Gets an image; answers its digest.
    pub(crate) fn pull(
        &self,
        reference: &str,
        tag: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<String, Trouble> {
        let reference = parse(reference)?;
        let image = runtime()?.block_on(self.0.pull(&reference, tag, progress)).map_err(trouble)?;
        Ok(image.digest)
    }

    /// One row for each name; an image without a name has one too.
    pub(crate) fn list(&self) -> Result<Vec<Row>, Trouble> {
        Ok(self.0.list().map_err(trouble)?.into_iter().flat_map(rows).collect())
    }

    /// All that is known of an image, as JSON.
    pub(crate) fn inspect(&self, name: &str) -> Result<String, Trouble> {
        let image = self.0.inspect(name).map_err(trouble)?;
        let layer = |l: &LayerDetails| {
            json!({
                "diffId": l.diff_id,
                "bytes": l.bytes,
                "entries": l.entries,
                "leftOut": l.left_out,
                "leftOutNames": l.left_out_names,
            })
        };
        let layers: Vec<_> = image.layers.iter().map(layer).collect();
        let value = json!({
            "names": image.summary.names,
            "digest": image.summary.digest,
            "bytes": image.summary.bytes,
            "architecture": image.config.architecture,
            "config": {
                "entrypoint": image.config.entrypoint,
                "cmd": image.config.cmd,
                "env": image.config.env,
                "workingDir": image.config.working_dir,
                "user": image.config.user,
                "labels": image.config.labels,
            },
            "layers": layers,
        });
        Ok(format!("{value:#}"))
    }

    /// Removes a name, and with its last name the image.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Trouble> {
        self.0.remove(name).map_err(trouble)
    }

    /// Makes an image of a folder; answers its digest.
    pub(crate) fn import(
        &self,
        dir: &Path,
        import: &Import,
        progress: &dyn Progress,
    ) -> Result<String, Trouble> {
        let config = ImportConfig {
            entrypoint: import.entrypoint.clone(),
            cmd: import.cmd.clone(),
            env: import.env.iter().map(|(k, v)| format!("{k}={v}")).collect(),
            working_dir: import.working_dir.clone(),
            user: import.user.clone(),
        };
        let image = self.0.import(dir, &import.tag, &config, progress).map_err(trouble)?;
        Ok(image.digest)
    }
}

/// Whether a text names an image at all; nothing is looked up.
pub(crate) fn check(reference: &str) -> Result<(), Trouble> {
    parse(reference).map(|_| ())
}

fn parse(reference: &str) -> Result<Reference, Trouble> {
    reference.parse().map_err(|e| Trouble { exit: Exit::Usage, ..trouble(e) })
}

fn trouble(error: ImageError) -> Trouble {
    Failure::from(error).into()
}

fn rows(image: ImageSummary) -> Vec<Row> {
    let row = |name: String| Row { name, digest: image.digest.to_string(), size: image.bytes };
    if image.names.is_empty() {
        return vec![row("(no name)".to_owned())];
    }
    image.names.iter().map(|name| row(familiar(name))).collect()
}

/// As people write it: `mine:latest`, not `docker.io/library/mine:latest`.
fn familiar(name: &str) -> String {
    RegistryName::parse(name).map_or_else(|_| name.to_owned(), |n| n.familiar())
}
