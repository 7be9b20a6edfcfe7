//! Every limit on staging, in one place.

use std::time::Duration;

/// Files and folders of one channel. Their names and digests are held in memory and stand in
/// the evidence.
pub const MAX_INPUT_FILES: usize = 1_000_000;
/// Objects, or files and folders, of a channel of which each instance gets a part. All are in
/// memory while they are dealt out, in Pipe mode as long as the job runs.
pub const MAX_LISTED: usize = 4 * MAX_INPUT_FILES;
/// Folders within folders, of inputs and of artifacts. Each level holds one descriptor.
pub const MAX_DEPTH: usize = 128;
/// Entries of one artifact. The names of one folder are held in memory.
pub const MAX_ARTIFACT_ENTRIES: u64 = 250_000;
/// Bytes of content of one artifact, before compression; holes of sparse files count.
pub const MAX_ARTIFACT_BYTES: u64 = 256 << 30;
/// Bytes of `/opt/ml/output/failure` that are read: enough for the characters that
/// `FailureReason` holds, four bytes each.
pub const MAX_FAILURE_BYTES: u64 = 4 * belljar_domain::limits::MAX_FAILURE_REASON as u64;
/// Files copied at a time from a local folder.
pub const COPY_WORKERS: usize = 2;
/// Bytes of each worker's buffer: large enough to amortise the calls, small enough for the
/// second-level cache, where the digest and the copy find the bytes that were read.
pub const COPY_BUFFER: usize = 256 << 10;
/// Bytes of a manifest; its names are held in memory.
pub const MAX_MANIFEST_BYTES: u64 = 32 << 20;
/// Bytes of an augmented manifest; it is kept in a file, of which 8 bytes a line are in memory.
pub const MAX_AUGMENTED_BYTES: u64 = 1 << 30;
/// Bytes of one of its lines.
pub const MAX_AUGMENTED_LINE: usize = 1 << 20;
/// Objects of a channel in Pipe mode that are asked for ahead of the one that is streamed.
pub const PIPE_AHEAD: usize = 8;
/// Objects up to this many bytes are then held whole.
pub const PIPE_WHOLE: u64 = 1 << 20;
/// Chunks that wait between S3 and a FIFO.
pub const PIPE_CHUNKS: usize = 8;
/// Bytes that the kernel holds in a FIFO, if it lets this user have so many.
pub const PIPE_BUFFER: usize = 1 << 20;
/// The longest time between two looks at whether a FIFO has been opened, or been read empty.
pub const PIPE_LOOK: Duration = Duration::from_millis(20);
/// Epochs of one channel that the evidence lists.
pub const PIPE_EPOCHS: usize = 256;
/// The first size that does not fit into a `RecordIO` header: 29 bits (MXNet, "Data format").
pub const RECORD_BYTES: u64 = 1 << 29;
/// Threads that download from S3.
pub const S3_WORKERS: usize = 2;
/// Objects that each of them downloads at a time. Behind a far-away S3 the wait for an answer is
/// all there is; what is held for each is its connection's buffer.
pub const S3_DOWNLOADS_EACH: usize = 64;
/// Chunks of one download or upload that wait between network and disk.
pub const CHUNKS_IN_FLIGHT: usize = 4;
/// Bytes of one part of a multipart upload; S3 takes no less than 5 MiB, and one part is held
/// in memory.
pub const S3_PART: usize = 5 << 20;
/// Parts of one upload (S3 User Guide, "Amazon S3 multipart upload limits").
pub const S3_MAX_PARTS: usize = 10_000;
/// Retries of one S3 request.
pub const S3_RETRIES: usize = 3;
/// Time for one S3 request with all its retries.
pub const S3_RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to connect to S3.
pub const S3_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without a byte before an S3 request is given up.
pub const S3_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often progress is told.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Files that are put at a time when artifacts are not compressed; each holds one part in memory.
pub const LOOSE_UPLOADS: usize = 16;
/// Artifacts that a report lists; the evidence lists all.
pub const MAX_REPORTED_ARTIFACTS: usize = 1000;
/// Sentences about what was left out, of each thing that is staged.
pub const MAX_WARNINGS: usize = 20;
/// How often the folder of checkpoints is looked through, at most.
pub const CHECKPOINT_LOOK: Duration = Duration::from_secs(2);
/// How long a checkpoint may keep changing before it is kept as it is.
pub const CHECKPOINT_RESTLESS: Duration = Duration::from_secs(30);
/// Checkpoints put or deleted at a time; each holds one part in memory.
pub const CHECKPOINT_UPLOADS: usize = 4;
