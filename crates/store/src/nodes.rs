//! The machines that may join the service: their names, and digests of their tokens.

use crate::StoreError;
use crate::identity::secret;
use belljar_domain::{NodeName, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// Characters of a token: 258 bits.
const TOKEN_LENGTH: usize = 43;

/// The table of nodes.
pub(crate) const SCHEMA: &str = "
CREATE TABLE node (
    name    TEXT PRIMARY KEY,
    token   BLOB NOT NULL, -- SHA-256
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A machine that may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// When it was added.
    pub created: Timestamp,
}

/// Adds a node and returns its token, which is not kept; `None` if the name is taken.
///
/// # Errors
/// If the kernel gives no randomness or the state fails.
pub fn add(c: &Connection, name: &NodeName, now: Timestamp) -> Result<Option<String>, StoreError> {
    let token = secret(TOKEN_LENGTH)?;
    let digest = Sha256::digest(token.as_bytes());
    let sql = "INSERT INTO node VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let added =
        c.prepare_cached(sql)?.execute(params![name.as_str(), digest.as_slice(), now.millis()])?;
    Ok((added > 0).then_some(token))
}

/// Whether this is the token of that node. What is compared are digests, so that the time that it
/// takes says nothing of the token.
///
/// # Errors
/// If the state fails.
pub fn is_token(c: &Connection, name: &NodeName, token: &str) -> Result<bool, StoreError> {
    let mut find = c.prepare_cached("SELECT token FROM node WHERE name = ?1")?;
    let kept: Option<Vec<u8>> = find.query_row([name.as_str()], |row| row.get(0)).optional()?;
    Ok(kept.is_some_and(|kept| kept == Sha256::digest(token.as_bytes()).as_slice()))
}

/// All nodes, by name.
///
/// # Errors
/// If the state fails.
pub fn list(c: &Connection) -> Result<Vec<Node>, StoreError> {
    let mut list = c.prepare_cached("SELECT name, created FROM node ORDER BY name")?;
    let rows = list.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let nodes = rows.map(|row| {
        let (name, created) = row?;
        Ok(name.parse().ok().map(|name| Node { name, created: Timestamp::from_millis(created) }))
    });
    // Names are checked before they are written.
    Ok(nodes.collect::<Result<Vec<_>, rusqlite::Error>>()?.into_iter().flatten().collect())
}

/// Removes a node; whether it was there.
///
/// # Errors
/// If the state fails.
pub fn remove(c: &Connection, name: &NodeName) -> Result<bool, StoreError> {
    let mut remove = c.prepare_cached("DELETE FROM node WHERE name = ?1")?;
    Ok(remove.execute([name.as_str()])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_token_until_it_is_removed() {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(SCHEMA).unwrap();
        let (a, b): (NodeName, NodeName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let token = add(&c, &a, Timestamp::from_millis(5)).unwrap().unwrap();
        assert_eq!(add(&c, &a, Timestamp::from_millis(6)).unwrap(), None);
        let other = add(&c, &b, Timestamp::from_millis(7)).unwrap().unwrap();
        assert!(is_token(&c, &a, &token).unwrap());
        assert!(!is_token(&c, &a, &other).unwrap() && !is_token(&c, &a, "").unwrap());
        assert_eq!(
            list(&c).unwrap()[0],
            Node { name: a.clone(), created: Timestamp::from_millis(5) }
        );
        assert!(remove(&c, &a).unwrap() && !remove(&c, &a).unwrap());
        assert!(!is_token(&c, &a, &token).unwrap());
    }
}
