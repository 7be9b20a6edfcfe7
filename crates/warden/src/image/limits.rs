//! Every limit on what an image may cost this machine, in one place.
//!
//! An archive is written by whoever made the image, so each number bounds an attack: beyond it
//! the pull fails by name, before the memory or the disk is gone.

/// Bytes of a manifest, an index or an image configuration (the distribution specification asks
/// registries for 4 MiB).
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// Layers of one image; overlayfs mounts no more than 500, Docker builds no more than 127.
pub const MAX_LAYERS: usize = 128;
/// Entries of an index.
pub const MAX_INDEX_ENTRIES: usize = 1024;
/// Bytes of one layer as it is stored or sent (compressed).
pub const MAX_LAYER_BLOB: u64 = 64 << 30;
/// Bytes of one layer's tar stream.
pub const MAX_LAYER_TAR: u64 = 128 << 30;
/// How many times larger than its compressed form a layer may become...
pub const MAX_RATIO: u64 = 200;
/// ...once it has grown beyond this many bytes (small layers of zeros are no danger).
pub const RATIO_FREE: u64 = 256 << 20;
/// Largest window of a zstd stream, as a power of two: 32 MiB of memory for each layer in work.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 25;
/// Entries of one layer.
pub const MAX_ENTRIES: u64 = 1_000_000;
/// Directories of one layer: their modes and times are kept in memory until its end.
pub const MAX_DIRECTORIES: usize = 200_000;
/// Bytes of a path or link target in a layer, below the kernel's `PATH_MAX`.
pub const MAX_PATH: usize = 4000;
/// Bytes of one component of a path (`NAME_MAX`).
pub const MAX_NAME: usize = 255;
/// Bytes of one PAX extended header.
pub const MAX_PAX: u64 = 1 << 20;
/// Extension headers (PAX, GNU long names) before one entry.
pub const MAX_EXTENSIONS: usize = 8;
/// Extended attributes of one file.
pub const MAX_XATTRS: usize = 64;
/// Paths of entries left out (device nodes) that are remembered by name; more are only counted.
pub const MAX_LEFT_OUT_NAMES: usize = 100;
/// Members of an image archive (`docker save`, `oci-archive`).
pub const MAX_ARCHIVE_MEMBERS: u64 = 10_000;
/// Bytes of a reference.
pub const MAX_REFERENCE: usize = 4096;
/// Bytes of a registry name with its path (the distribution specification's limit).
pub const MAX_NAME_TOTAL: usize = 255;
/// Bytes read of an image's `/etc/passwd` or `/etc/group`.
pub const MAX_ACCOUNTS: u64 = 1 << 20;
/// Bytes of a credentials file (`~/.docker/config.json`).
pub const MAX_CREDENTIALS: u64 = 1 << 20;
/// Bytes of a token server's or registry's small answers.
pub const MAX_ANSWER: u64 = 256 << 10;
/// Layers of one image in work at the same time.
pub const PARALLEL_LAYERS: usize = 3;
/// Bytes of one buffer between decompressing and writing.
pub const CHUNK: usize = 256 << 10;
/// Buffers between decompressing and writing, for each layer.
pub const CHUNKS_IN_FLIGHT: usize = 4;
/// Seconds to connect to a registry.
pub const CONNECT_SECONDS: u64 = 10;
/// Seconds a registry may stay silent.
pub const SILENCE_SECONDS: u64 = 60;
/// Tries of one layer's download.
pub const DOWNLOAD_TRIES: u32 = 3;
