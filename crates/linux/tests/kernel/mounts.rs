//! Mounts and roots, with images that lie.

use crate::Outcome;
use belljar_linux::idmap;
use belljar_linux::mounts::{make_dirs_in_root, open_in_root};
use belljar_linux::privilege::Privilege;
use belljar_linux::root::{Plan, Root, assemble};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn assemble(&self, layers: &[PathBuf], privilege: Privilege) -> belljar_linux::Result<Root> {
        let user_ns = idmap::for_container(privilege, 7)?;
        assemble(&Plan {
            resolv_conf: "",
            layers,
            scratch: &self.dir("scratch"),
            volumes: &[(self.dir("ml/model"), "opt/ml/model")],
            user_ns: &user_ns,
            host_name: "algo-1",
            hosts: &[(std::net::Ipv4Addr::LOCALHOST, "algo-1".to_owned())],
            shm_bytes: Some(1 << 20),
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let mounted = self.folder.path().join("scratch/mnt");
        while rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).is_ok() {}
    }
}

/// A folder that would be written to if a link of the image were followed out of it.
fn victim(bench: &Bench) -> PathBuf {
    let victim = bench.dir("victim");
    fs::write(victim.join("hosts"), "untouched").unwrap();
    victim
}

fn untouched(victim: &Path) {
    let names: Vec<_> = fs::read_dir(victim).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["hosts"]);
    assert_eq!(fs::read_to_string(victim.join("hosts")).unwrap(), "untouched");
}

pub(crate) fn links(privilege: Privilege) -> Outcome {
    let bench = Bench::new();
    let victim = victim(&bench);
    let layer = bench.dir("layer");
    // Every place that Belljar writes to or mounts at, as a link to somewhere else.
    symlink(&victim, layer.join("etc"))?;
    symlink(&victim, layer.join("opt"))?;
    fs::create_dir(layer.join("up"))?;
    symlink("../../../../../../../../../tmp", layer.join("tmp"))?;
    let folder = fs::File::open(&layer)?;
    let opened = make_dirs_in_root(folder.as_fd(), "up/x", 0)?;
    assert_eq!(rustix::fs::fstat(&opened)?.st_ino, fs::metadata(layer.join("up/x"))?.ino());
    // Dangling inside the root, whatever is there outside.
    assert!(open_in_root(folder.as_fd(), "etc/hosts", OFlags::PATH).is_err());
    assert!(bench.assemble(&[layer], privilege).is_err());
    untouched(&victim);
    Ok(())
}

pub(crate) fn assembled(privilege: Privilege) -> Outcome {
    let bench = Bench::new();
    let victim = victim(&bench);
    let (low, high) = (bench.dir("low"), bench.dir("high"));
    fs::create_dir_all(low.join("bin"))?;
    fs::write(low.join("bin/train"), "low")?;
    fs::set_permissions(low.join("bin/train"), fs::Permissions::from_mode(0o755))?;
    fs::write(low.join("both"), "low")?;
    fs::write(high.join("both"), "high")?;
    fs::create_dir_all(high.join("etc"))?;
    fs::create_dir_all(high.join("opt/ml/code"))?;
    fs::create_dir_all(high.join("opt/ml/model"))?;
    fs::write(high.join("opt/ml/code/train.py"), "of the image")?;
    fs::write(high.join("opt/ml/model/old"), "of the image")?;
    symlink(victim.join("hosts"), high.join("etc/hosts"))?;
    let root = bench.assemble(&[low.clone(), high], privilege)?;
    let path = root.path();
    assert_eq!(fs::read_to_string(path.join("both"))?, "high");
    assert_eq!(root.find_program("train", "/nowhere:/bin").as_deref(), Some("/bin/train"));
    assert_eq!(root.find_program("both", "/"), None, "it is not executable");
    assert_eq!(root.read_file("/both", 4), Some(b"high".to_vec()));
    assert_eq!(root.read_file("/both", 3), None, "it is longer");
    assert_eq!((root.read_file("/etc", 9), root.read_file("/nowhere", 9)), (None, None));
    // The image's link is replaced, not followed.
    assert!(fs::read_to_string(path.join("etc/hosts"))?.contains("127.0.0.1\talgo-1\n"));
    untouched(&victim);
    // A volume covers what the image has there, and nothing beside it.
    assert!(path.join("opt/ml/code/train.py").exists());
    assert!(!path.join("opt/ml/model/old").exists());
    fs::write(path.join("opt/ml/model/new"), "x")?;
    assert!(bench.dir("ml/model").join("new").exists());
    let owner = fs::metadata(path.join("bin/train"))?.uid();
    let (base, _) = privilege.id_range(7);
    assert_eq!(owner, base, "what is root's on disk is the container's root's here");
    fs::write(path.join("new"), "x")?;
    assert!(!low.join("new").exists(), "layers are shared and never written");
    let device = rustix::fs::open(path.join("dev/null"), OFlags::WRONLY, Mode::empty());
    assert!(device.is_ok());
    Ok(())
}

pub(crate) fn file_in_the_way(privilege: Privilege) -> Outcome {
    let bench = Bench::new();
    let layer = bench.dir("layer");
    fs::write(layer.join("proc"), "a file")?;
    let error = bench.assemble(&[layer], privilege).err().ok_or("it was assembled")?;
    assert!(error.to_string().contains("proc"), "{error}");
    Ok(())
}
