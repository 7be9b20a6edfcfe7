//! Archives made to break out, to exhaust, or to confuse. Whatever they hold: what is outside
//! the layer's folder stays as it was.

use crate::support::{Tar, UnpackError, Unpacked, gzip, listing, unpack_to};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Unpacks beside a victim folder; the victim must stay as it was.
fn attack(
    stream: impl FnOnce(&Path) -> Vec<u8>,
) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
    let at = tempfile::tempdir().unwrap();
    let victim = at.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "intact").unwrap();
    std::fs::set_permissions(victim.join("file"), PermissionsExt::from_mode(0o640)).unwrap();
    let look = || {
        let file = std::fs::metadata(victim.join("file")).unwrap();
        let folder = std::fs::metadata(&victim).unwrap();
        (listing(&victim), file.mode(), file.nlink(), file.mtime(), file.ino(), folder.mode())
    };
    let before = look();
    let stream = stream(&victim);
    let result = unpack_to(at.path(), "layer", &stream);
    assert_eq!(look(), before, "the victim was touched");
    let names: Vec<String> = std::fs::read_dir(at.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "something appeared outside: {names:?}");
    (at, result)
}

fn refused(stream: impl FnOnce(&Path) -> Vec<u8>) -> UnpackError {
    attack(stream).1.unwrap_err()
}

fn contained(stream: impl FnOnce(&Path) -> Vec<u8>) -> tempfile::TempDir {
    let (at, result) = attack(stream);
    result.unwrap();
    at
}

#[test]
fn paths_that_climb_are_refused() {
    for name in ["../victim/file", "a/../../victim/file", "..", "./../victim/new", "a/.."] {
        let error = refused(|_| Tar::default().file(name, "evil").end());
        assert!(matches!(error, UnpackError::Path { .. }), "{name}: {error}");
    }
}

#[test]
fn absolute_paths_begin_at_the_layer() {
    let at = contained(|v| Tar::default().file(&format!("{}/file", v.display()), "evil").end());
    let inside = at.path().join("layer").join(at.path().strip_prefix("/").unwrap());
    assert_eq!(std::fs::read_to_string(inside.join("victim/file")).unwrap(), "evil");
}

#[test]
fn symbolic_links_as_parents_lead_nowhere() {
    let _ = attack(|v| {
        Tar::default().symlink("out", &v.display().to_string()).file("out/file", "evil").end()
    });
    let _ = attack(|_| Tar::default().symlink("out", "../victim").file("out/file", "evil").end());
    let _ = attack(|_| {
        let deep = Tar::default().dir("d", 0o755).symlink("d/up", "../../victim");
        deep.file("d/up/file", "evil").end()
    });
    let _ = attack(|v| {
        let chain = Tar::default().symlink("a", "b").symlink("b", &v.display().to_string());
        chain.file("a/file", "evil").end()
    });
    let _ =
        attack(|_| Tar::default().symlink("p", "/proc/self/root/tmp").file("p/evil", "evil").end());
}

#[test]
fn a_parent_cached_then_swapped_for_a_link_is_not_followed() {
    let (_at, result) = attack(|v| {
        Tar::default()
            .dir("d", 0o755)
            .file("d/first", "1")
            .symlink("d", &v.display().to_string())
            .file("d/file", "evil")
            .end()
    });
    result.unwrap_err();
}

#[test]
fn a_file_replaces_a_link_of_its_name() {
    let at = contained(|v| {
        let file = v.join("file").display().to_string();
        Tar::default().symlink("f", &file).file("f", "mine").end()
    });
    assert_eq!(std::fs::read_to_string(at.path().join("layer/f")).unwrap(), "mine");
}

#[test]
fn hard_links_stay_inside() {
    refused(|v| Tar::default().hard_link("l", &v.join("file").display().to_string()).end());
    refused(|_| Tar::default().hard_link("l", "../victim/file").end());
    refused(|v| {
        let out = Tar::default().symlink("out", &v.display().to_string());
        out.hard_link("l", "out/file").file("l", "evil").end()
    });
    // A link to a link is a second name of the link, never of what it leads to.
    contained(|v| {
        let file = v.join("file").display().to_string();
        Tar::default().symlink("s", &file).hard_link("l", "s").file("l", "mine").end()
    });
}

#[test]
fn modes_and_owners_are_not_set_through_links() {
    contained(|v| {
        let file = v.join("file").display().to_string();
        Tar::default().symlink("s", &file).entry(b'2', "s", &file, b"", 0o4777).end()
    });
    // The directory becomes a link before its mode is set.
    contained(|v| Tar::default().dir("d", 0o777).symlink("d", &v.display().to_string()).end());
    contained(|v| {
        let link = Tar::default().symlink("d", &v.display().to_string());
        link.dir("d", 0o777).file("d/file", "mine").end()
    });
}

#[test]
fn whiteouts_do_not_reach_out() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..", "../.wh.victim", ".wh.a/b"] {
        refused(|_| Tar::default().file(name, "").end());
    }
    let _ = attack(|v| {
        Tar::default().symlink("out", &v.display().to_string()).file("out/.wh.file", "").end()
    });
    let _ = attack(|v| {
        let out = Tar::default().symlink("out", &v.display().to_string());
        out.file("out/.wh..wh..opq", "").end()
    });
}

#[test]
fn device_nodes_are_left_out_and_recorded() {
    let (at, result) = attack(|_| {
        let tar = Tar::default().entry(b'4', "disk", "", b"", 0o666);
        tar.entry(b'3', "null", "", b"", 0o666).entry(b'6', "pipe", "", b"", 0o600).end()
    });
    let unpacked = result.unwrap();
    assert_eq!(unpacked.left_out_names, ["disk", "null"]);
    assert_eq!(listing(&at.path().join("layer")), [("pipe".to_owned(), "(special)".to_owned())]);
}

#[test]
fn no_set_user_id_file_reaches_the_store() {
    let at = contained(|_| Tar::default().entry(b'0', "su", "", b"x", 0o6755).end());
    let mode = std::fs::metadata(at.path().join("layer/su")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn a_layer_cannot_speak_to_overlayfs() {
    let at = contained(|_| {
        let evil: [(&str, &[u8]); 5] = [
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.capability", b"\x01\n\x02"),
            ("SCHILY.xattr.user.mine", b"kept\nwhole"),
        ];
        Tar::default().pax(&evil).dir("d", 0o755).end()
    });
    let mut names = [0; 1024];
    let length = rustix::fs::listxattr(at.path().join("layer/d"), &mut names[..]).unwrap();
    assert_eq!(&names[..length], b"user.mine\0");
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(at.path().join("layer/d"), "user.mine", &mut value[..]);
    assert_eq!(&value[..length.unwrap()], b"kept\nwhole");
}

#[test]
fn lengths_that_lie_are_refused_before_they_cost() {
    let huge = 1 << 40;
    let limits = [
        Tar::default().raw(b'x', "x", "", b"", 0, huge).end(),
        Tar::default().raw(b'g', "g", "", b"", 0, huge).end(),
        Tar::default().raw(b'L', "L", "", b"", 0, huge).end(),
        Tar::default().raw(b'K', "K", "", b"", 0, huge).end(),
        (0..20).fold(Tar::default(), |t, _| t.pax(&[("comment", b"again")])).file("f", "").end(),
        Tar::default().file(&"d/".repeat(2500), "").end(),
    ];
    for stream in limits {
        let error = refused(|_| stream);
        assert!(matches!(error, UnpackError::Limit { .. }), "{error}");
    }
    for stream in [
        Tar::default().raw(b'0', "f", "", b"short", 0o644, huge).end(),
        Tar::default().pax(&[("size", b"18446744073709551615")]).file("f", "x").end(),
        Tar::default().pax(&[("size", b"-1")]).file("f", "x").end(),
        Tar::default().pax(&[("GNU.sparse.major", b"1")]).file("f", "x").end(),
        Tar::default().entry(b'x', "x", "", b"99999 path=short\n", 0).file("f", "x").end(),
        Tar::default().entry(b'x', "x", "", b"3 a\n", 0).file("f", "x").end(),
        Tar::default().entry(b'S', "sparse", "", b"", 0o644).end(),
        b"this is no archive at all".repeat(100),
        vec![7; 300],
    ] {
        let error = refused(|_| stream);
        assert!(matches!(error, UnpackError::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_bomb_is_stopped() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let size = 512_u64 << 20;
    let head = Tar::default().raw(b'0', "zeros", "", b"", 0o644, size).0;
    encoder.write_all(&head).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..512 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let (at, result) = attack(|_| bomb);
    let error = result.unwrap_err();
    assert!(matches!(error, UnpackError::Limit { .. }), "{error}");
    let written = std::fs::metadata(at.path().join("layer/zeros")).unwrap().len();
    assert!(written < 300 << 20, "{written} bytes were written");
}

#[test]
fn a_window_too_large_for_the_memory_is_refused() {
    use std::io::Write;
    let tar = Tar::default().raw(b'0', "f", "", &vec![b'x'; 300 << 10], 0o644, 300 << 10).end();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(30).unwrap();
    encoder.write_all(&tar).unwrap();
    let error = refused(|_| encoder.finish().unwrap());
    assert!(matches!(error, UnpackError::Read(_)), "{error}");
}

#[test]
fn a_cut_stream_is_never_taken_as_whole() {
    let tar = Tar::default().file("a", &"x".repeat(3000)).file("b", "y").end();
    let packed = gzip(&tar);
    for cut in [1, 9, packed.len() / 2, packed.len() - 1] {
        refused(|_| packed[..cut].to_vec());
    }
    for cut in [100, 512, 600, 2000] {
        if cut % 512 == 0 {
            continue;
        }
        refused(|_| tar[..cut].to_vec());
    }
}

/// The gate's short form of the fuzzer: the same entry points, seeded, a few thousand times.
#[test]
fn mutated_archives_do_no_harm() {
    let pax: [(&str, &[u8]); 2] = [("path", b"d/long"), ("SCHILY.xattr.user.x", b"1")];
    let seed = Tar::default()
        .dir("d", 0o755)
        .file("d/f", "content")
        .symlink("d/s", "../victim")
        .hard_link("d/h", "d/f")
        .pax(&pax)
        .file("short", "x")
        .file("d/.wh.gone", "")
        .file("d/.wh..wh..opq", "")
        .file(&"n/".repeat(60), "")
        .end();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut accepted = 0;
    for _ in 0..400 {
        let mut bytes = seed.clone();
        for _ in 0..=next() % 4 {
            let at = (next() % bytes.len() as u64) as usize;
            bytes[at] = match next() % 4 {
                0 => b'.',
                1 => b'/',
                2 => 0,
                _ => next() as u8,
            };
        }
        // Most mutations would end at the checksum.
        for block in bytes.chunks_exact_mut(512) {
            let mut header = tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(block);
            if block[148..156] != [0; 8] {
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        accepted += u32::from(attack(|_| bytes).1.is_ok());
    }
    assert!(accepted > 10, "nearly all was refused: the mutations test nothing ({accepted})");
}
