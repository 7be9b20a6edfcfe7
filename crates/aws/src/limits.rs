//! Every limit on what comes from outside, in one place.

/// Bytes of the largest body that [`crate::decode`] looks at: what `AWS` takes for a control plane's
/// request is 1 `MiB` or less, an endpoint's payload may have 25 `MB` (Developer Guide).
pub const BODY: usize = 25 << 20;
/// Levels that lists, maps and structures may be nested.
pub const DEPTH: usize = 100;
/// Parameters of a form or a query string.
pub const PARAMETERS: usize = 20_000;
/// Elements of an `XML` document.
pub const ELEMENTS: usize = 200_000;
/// Violations that one message names; `AWS` stops at a like number.
pub const VIOLATIONS: usize = 20;
/// Characters of a value, a list of allowed values or a name that a message shows.
pub const SHOWN: usize = 1024;
/// Bytes of a compiled pattern.
pub const PATTERN: usize = 4 << 20;
/// Seconds that a request's time may differ from ours, for most services.
pub const SKEW: i64 = 15 * 60;
/// Seconds that a presigned request may be valid: seven days.
pub const PRESIGNED: i64 = 7 * 24 * 3600;
/// Headers that a signature may cover.
pub const SIGNED_HEADERS: usize = 100;
