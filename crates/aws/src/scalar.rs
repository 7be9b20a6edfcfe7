//! Times, numbers and bytes as texts.

use crate::model::TimestampFormat;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use serde_json::{Number, Value};
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Seconds since 1970 of the last moment of the year 9999, and of the first of the year 0.
const LAST: f64 = 253_402_300_799.999;
const FIRST: f64 = -62_167_219_200.0;

pub(crate) const BASE64: GeneralPurpose = STANDARD;

/// A time from a text in any of the formats that services take.
pub(crate) fn parse_time(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return checked(seconds);
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return checked(seconds_of(time));
    }
    if let Some(time) = http_date(text) {
        return checked(seconds_of(time));
    }
    // A date alone, or a time without its zone: taken as UTC.
    let with_zone = if text.len() == 10 { format!("{text}T00:00:00Z") } else { format!("{text}Z") };
    OffsetDateTime::parse(&with_zone, &Rfc3339).ok().and_then(|time| checked(seconds_of(time)))
}

/// Seconds, if they are a time that can be written.
pub(crate) fn checked(seconds: f64) -> Option<f64> {
    (FIRST..=LAST).contains(&seconds).then_some(seconds)
}

/// `Fri, 02 Jan 2026 03:04:05 GMT`, with or without a fraction of the second.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc2822) {
        return Some(time);
    }
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = month(words.next()?)?;
    let year = words.next()?.parse().ok()?;
    let clock = words.next()?;
    if words.next()? != "GMT" {
        return None;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let time = Time::from_hms_nano(hour, minute, second, nanos).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

fn month(name: &str) -> Option<Month> {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let index = NAMES.iter().position(|known| *known == name)?;
    Month::try_from(u8::try_from(index).ok()? + 1).ok()
}

#[expect(clippy::cast_precision_loss, reason = "a float holds microseconds for 280 years")]
fn seconds_of(time: OffsetDateTime) -> f64 {
    time.unix_timestamp() as f64 + f64::from(time.nanosecond()) / 1e9
}

/// A time in a format; `None` if it is out of all calendars.
#[expect(clippy::cast_possible_truncation, reason = "checked to be within the years 0 to 9999")]
pub(crate) fn format_time(seconds: f64, format: TimestampFormat) -> Option<String> {
    let seconds = checked(seconds)?;
    let whole = seconds.floor();
    let millis = ((seconds - whole) * 1000.0).round() as i64;
    let at = OffsetDateTime::from_unix_timestamp(whole as i64 + millis / 1000).ok()?;
    let at = at.to_offset(UtcOffset::UTC);
    let millis = millis % 1000;
    let (date, time) = (at.date(), at.time());
    let clock = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    Some(match format {
        TimestampFormat::Iso8601 => {
            let month = u8::from(date.month());
            let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
            format!("{:04}-{month:02}-{:02}T{clock}{fraction}Z", date.year(), date.day())
        }
        TimestampFormat::Rfc822 => {
            let (week, month) = (date.weekday().to_string(), date.month().to_string());
            let (week, month) = (week.get(..3)?, month.get(..3)?);
            format!("{week}, {:02} {month} {:04} {clock} GMT", date.day(), date.year())
        }
        TimestampFormat::Unix if millis == 0 => at.unix_timestamp().to_string(),
        TimestampFormat::Unix => format!("{seconds}"),
    })
}

/// A time as it stands in `JSON`: whole seconds without a point.
#[expect(clippy::cast_possible_truncation, reason = "whole, and checked to be small")]
pub(crate) fn time_number(seconds: f64) -> Value {
    if seconds.fract() == 0.0 && checked(seconds).is_some() {
        Value::from(seconds as i64)
    } else {
        Number::from_f64(seconds).map_or(Value::Null, Value::Number)
    }
}

/// A float from a text, or the three that `JSON` cannot write, as texts.
pub(crate) fn parse_float(text: &str) -> Option<Value> {
    if is_special_float(text) {
        return Some(Value::from(text));
    }
    // `parse` knows more spellings of these than AWS does.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|_| plain)?;
    Number::from_f64(number).map(Value::Number)
}

pub(crate) fn is_special_float(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// Whether a text is base64, and nothing else.
pub(crate) fn is_base64(text: &str) -> bool {
    BASE64.decode(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_format() {
        for text in [
            "2019-12-16T23:48:18Z",
            "2019-12-16T22:48:18-01:00",
            "Mon, 16 Dec 2019 23:48:18 GMT",
            "1576540098",
            "2019-12-16T23:48:18",
        ] {
            assert_eq!(parse_time(text), Some(1_576_540_098.0), "{text}");
        }
        assert_eq!(parse_time("Sun, 02 Jan 2000 20:34:56.456 GMT"), Some(946_845_296.456));
        for text in ["", "soon", "1e300", "NaN", "2019-13-01T00:00:00Z", "Mon, 16 Dec"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_every_format() {
        let written = |seconds, format| format_time(seconds, format).unwrap();
        assert_eq!(written(1_576_540_098.0, TimestampFormat::Iso8601), "2019-12-16T23:48:18Z");
        assert_eq!(written(0.123, TimestampFormat::Iso8601), "1970-01-01T00:00:00.123Z");
        assert_eq!(written(0.0, TimestampFormat::Rfc822), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(written(1.5, TimestampFormat::Unix), "1.5");
        assert_eq!(format_time(f64::NAN, TimestampFormat::Unix), None);
    }
}
