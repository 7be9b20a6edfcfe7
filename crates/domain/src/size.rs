//! Sizes and durations as people write and read them.

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not `512M`, `2GiB`, `1000`.
    #[error(
        "'{0}' is not a size: write a number with B, K, M, G or T (powers of 1024), as in 512M or 4GiB"
    )]
    Size(String),
    /// Not `90`, `30s`, `10m`, `24h`, `2d`.
    #[error("'{0}' is not a duration: write a whole number with s, m, h or d, as in 30s or 24h")]
    Duration(String),
}

/// Reads a size in bytes: a number and `B`, `K`, `M`, `G` or `T`, optionally with `iB` or `B`
/// behind it; all are powers of 1024, as in Docker's `--memory`.
///
/// # Errors
/// If the text is not of that form or does not fit 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    let wrong = || QuantityError::Size(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let whole = whole.checked_mul(1 << shift).ok_or_else(wrong)?;
    if fraction.is_empty() {
        return if number.ends_with('.') { Err(wrong()) } else { Ok(whole) };
    }
    let digits = u32::try_from(fraction.len()).map_err(|_| wrong())?;
    let scale = 10u128.checked_pow(digits).ok_or_else(wrong)?;
    let part: u128 = fraction.parse().map_err(|_| wrong())?;
    let part = u64::try_from((part << shift) / scale).map_err(|_| wrong())?;
    whole.checked_add(part).ok_or_else(wrong)
}

/// Reads a duration in seconds: a whole number and `s` (or nothing), `m`, `h` or `d`.
///
/// # Errors
/// If the text is not of that form or does not fit 64 bits.
pub fn parse_seconds(text: &str) -> Result<u64, QuantityError> {
    let wrong = || QuantityError::Duration(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)
}

/// Writes bytes for a person: `512 B`, `1.4 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Writes milliseconds for a person: `340 ms`, `2.1 s`, `3 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn human_millis(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=59 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1k", 1024),
            ("512M", 512 << 20),
            ("4GiB", 4 << 30),
            ("1.5G", 3 << 29),
            ("2TB", 2 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "1.", ".5G", "1x", "-1", "99999999999T", "1.2.3", "1 G"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_seconds("90"), Ok(90));
        assert_eq!(parse_seconds("24h"), Ok(86_400));
        for bad in ["", "h", "1.5h", "1w", "-1s", "99999999999999999999d"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn for_people() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1 << 20), "1.0 MiB");
        assert_eq!(human_millis(340), "340 ms");
        assert_eq!(human_millis(185_000), "3 min 05 s");
    }
}
