//! Removing events, in small pieces.

use super::append::write;
use super::block::Reader;
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, params};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Removes at most `limit` blocks of events that are older than their group's retention, or of
/// streams that were deleted. Returns how many it removed: as many as `limit` means that there
/// may be more. (The file does not become smaller; its pages are used again.)
///
/// # Errors
/// If the state fails.
pub fn expire(c: &Connection, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let removed = remove_dead(c, limit)?;
    Ok(removed + remove_old(c, now, limit - removed)?)
}

fn remove_dead(c: &Connection, limit: usize) -> Result<usize, StoreError> {
    let removed = c
        .prepare_cached(
            "DELETE FROM log_block WHERE id IN (
                SELECT b.id FROM log_dead d JOIN log_block b ON b.stream = d.stream LIMIT ?1)",
        )?
        .execute([super::count(limit)])?;
    if removed < limit {
        c.execute("DELETE FROM log_dead", [])?;
    }
    Ok(removed)
}

fn remove_old(c: &Connection, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let mut find = c.prepare_cached(
        "SELECT b.id, b.stream, b.last_at, ?1 - g.retention * ?2
         FROM log_group g JOIN log_stream s ON s.log_group = g.id
            JOIN log_block b ON b.stream = s.id
         WHERE g.retention IS NOT NULL AND b.first_at < ?1 - g.retention * ?2
         LIMIT ?3",
    )?;
    let old: Vec<(i64, i64, i64, i64)> = find
        .query_map(params![now.millis(), DAY, super::count(limit)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (id, stream, last, before) in &old {
        let body: Vec<u8> = c
            .prepare_cached("DELETE FROM log_block WHERE id = ?1 RETURNING body")?
            .query_row([id], |row| row.get(0))?;
        // What is younger in the block stays.
        if last >= before {
            let events = Reader::new(&body).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut events = events.map_err(rusqlite::Error::from)?;
            events.retain(|event| event.key.at >= *before);
            write(c, *stream, &events)?;
        }
    }
    Ok(old.len())
}
