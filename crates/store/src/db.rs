//! One SQLite file: many readers, one writer that commits for all who wait (group commit).

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Writes that may wait for the writer; the next one waits for a place.
const MAX_WAITING: usize = 1024;
/// Writes that share one commit.
const MAX_BATCH: usize = 256;
/// Connections for readers that are kept open when nobody reads.
const MAX_IDLE_READERS: usize = 8;
/// How long a statement waits for another process (`belljar keys`) to end its own.
const BUSY: Duration = Duration::from_secs(5);

/// What went wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's answer.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer Belljar.
    #[error(
        "{} has format {found}, and this Belljar knows up to {known}: it was written by a newer one",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// A statement failed.
    #[error("the state database failed")]
    Sql(#[from] rusqlite::Error),
    /// What is kept is not what was written.
    #[error("a record of the state is not readable")]
    Record(#[from] serde_json::Error),
    /// A file beside the database.
    #[error("cannot {operation} {}", .path.display())]
    File {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// What was written could not be made durable: nothing of it stays.
    #[error("the state cannot be committed: {0}")]
    Commit(String),
    /// The writer is gone: the service is ending.
    #[error("the state is being closed")]
    Closed,
}

/// Work for the writer: runs in a savepoint of its transaction.
type Work = Box<dyn FnOnce(&Connection) -> Done + Send>;

/// What work came to.
struct Done {
    /// Whether what it wrote is to stay.
    keep: bool,
    /// Tells the caller, once it is known whether the commit succeeded.
    tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// A database. Cheap to share by reference or `Arc`.
#[derive(Debug)]
pub struct Db {
    path: PathBuf,
    writer: mpsc::SyncSender<Work>,
    readers: Mutex<Vec<Connection>>,
}

impl Db {
    /// Opens or makes the file (in WAL mode, every commit synced) and brings it to the newest
    /// format: `migrations[i]` turns format `i` into `i + 1`.
    ///
    /// # Errors
    /// If it cannot be opened, is newer than this program, or a migration fails.
    pub fn open(path: &Path, migrations: &[&str]) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        migrate(&mut connection, path, migrations)?;
        let (writer, work) = mpsc::sync_channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write_all(&mut connection, &work))
            .map_err(|source| StoreError::File {
                operation: "start the writer of",
                path: path.to_path_buf(),
                source,
            })?;
        Ok(Self { path: path.to_path_buf(), writer, readers: Mutex::default() })
    }

    /// Runs `work` in a transaction. When this returns `Ok`, what it wrote survives a power
    /// failure; when it returns an error, nothing of it was written. Several callers share one
    /// commit, but never each other's failures.
    ///
    /// # Errors
    /// Those of `work`, and of the commit.
    pub async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let result = work(connection);
            let keep = result.is_ok();
            let tell = Box::new(move |committed: Result<(), StoreError>| {
                // A caller that went away is not told; what it wrote stays.
                let _ = answer.send(match committed {
                    Ok(()) => result,
                    Err(e) => result.and(Err(e.into())),
                });
            });
            Done { keep, tell }
        });
        self.hand_over(work).await?;
        answered.await.map_err(|_| E::from(StoreError::Closed))?
    }

    async fn hand_over(&self, mut work: Work) -> Result<(), StoreError> {
        loop {
            match self.writer.try_send(work) {
                Ok(()) => return Ok(()),
                Err(mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
                Err(mpsc::TrySendError::Full(back)) => {
                    work = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    /// Reads, in one snapshot. Blocks for the time of the query: microseconds for a record.
    ///
    /// # Errors
    /// Those of `work`, or if the file cannot be opened.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let result = connection
            .transaction()
            .map_err(|e| E::from(StoreError::Sql(e)))
            .and_then(|tx| work(&tx));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        result
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    open().map_err(|source| StoreError::Open { path: path.to_path_buf(), source })
}

fn migrate(connection: &mut Connection, path: &Path, to: &[&str]) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = u32::try_from(to.len()).unwrap_or(u32::MAX);
    let found: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, known });
    }
    for migration in to.iter().skip(found as usize) {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    Ok(tx.commit()?)
}

/// The writer: takes what waits, runs each piece in a savepoint of its own, commits once.
fn write_all(connection: &mut Connection, work: &mpsc::Receiver<Work>) {
    while let Ok(first) = work.recv() {
        let rest = work.try_iter().take(MAX_BATCH - 1);
        write_batch(connection, std::iter::once(first).chain(rest));
    }
}

fn write_batch(connection: &mut Connection, batch: impl Iterator<Item = Work>) {
    let mut done = Vec::new();
    let committed = |connection: &mut Connection| -> rusqlite::Result<()> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for work in batch {
            tx.execute_batch("SAVEPOINT work")?;
            let work = work(&tx);
            let keep = work.keep;
            done.push(work);
            tx.execute_batch(if keep { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" })?;
        }
        tx.commit()
    };
    // Work that was never begun is dropped here, and its caller sees that the state is closed.
    let result = committed(connection);
    for done in done {
        (done.tell)(match &result {
            Ok(()) => Ok(()),
            Err(e) => Err(StoreError::Commit(e.to_string())),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &[&str] = &["CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT"];

    async fn insert(db: &Db, n: i64, fail: bool) -> Result<(), StoreError> {
        db.write(move |c| {
            c.execute("INSERT INTO t VALUES (?1)", [n])?;
            if fail { Err(StoreError::Closed) } else { Ok(()) }
        })
        .await
    }

    fn count(db: &Db) -> i64 {
        db.read(|c| Ok::<_, StoreError>(c.query_row("SELECT count(*) FROM t", [], |r| r.get(0))?))
            .unwrap()
    }

    #[tokio::test]
    async fn who_shares_a_commit_does_not_share_failures() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("x.db"), FORMAT).unwrap();
        let (a, b, c, d) = tokio::join!(
            insert(&db, 1, false),
            insert(&db, 2, true),
            insert(&db, 1, false),
            insert(&db, 3, false),
        );
        assert!(a.is_ok() && d.is_ok());
        assert!(matches!(b, Err(StoreError::Closed)));
        assert!(matches!(c, Err(StoreError::Sql(_))), "the key is taken");
        assert_eq!(count(&db), 2);
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_and_an_older_one_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let db = Db::open(&path, FORMAT).unwrap();
        insert(&db, 7, false).await.unwrap();
        drop(db);
        let newer = &[FORMAT[0], "ALTER TABLE t ADD COLUMN m INTEGER"];
        assert_eq!(count(&Db::open(&path, newer).unwrap()), 1);
        assert!(matches!(
            Db::open(&path, FORMAT),
            Err(StoreError::Newer { found: 2, known: 1, .. })
        ));
    }
}
