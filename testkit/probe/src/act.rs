//! Things that tests need done inside a container.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// At most this many processes come of `fork-bomb`, whatever is asked for.
const MOST_PROCESSES: u32 = 10_000;

static TERMED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_term(_signal: i32) {
    TERMED.store(true, Ordering::SeqCst);
}

#[expect(unsafe_code, reason = "signal handlers have no safe interface in the standard library")]
pub(crate) fn catch_term(ignore: bool) {
    let handler = if ignore { libc::SIG_IGN } else { on_term as *const () as libc::sighandler_t };
    // SAFETY: the handler only stores to an atomic, which is allowed at any moment.
    unsafe { libc::signal(libc::SIGTERM, handler) };
}

/// Whether TERM has come.
pub(crate) fn caught_term() -> bool {
    TERMED.load(Ordering::SeqCst)
}

/// Waits that many seconds; TERM ends it with 143, as it would outside of a container.
pub(crate) fn sleep(seconds: f64, ignore_term: bool) -> ExitCode {
    catch_term(ignore_term);
    println!("sleeping");
    wait(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX), ExitCode::from(143))
}

/// Waits for TERM, saves what it is to save, and ends with the code given.
pub(crate) fn trap_term(code: u8, file: Option<&String>) -> io::Result<ExitCode> {
    catch_term(false);
    println!("waiting for TERM");
    let code = wait(Duration::MAX, ExitCode::from(code));
    file.map_or(Ok(()), |file| fs::write(file, "saved\n"))?;
    Ok(code)
}

/// Holds what another container must not see, shows that it is there to be seen, and waits for
/// TERM.
pub(crate) fn hold(name: &str) -> io::Result<ExitCode> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    let address = SocketAddr::from_abstract_name(name)?;
    let _listener = UnixListener::bind_addr(&address)?;
    UnixStream::connect_addr(&address)?;
    fs::write(Path::new("/dev/shm").join(name), name)?;
    println!("held {name}");
    trap_term(0, None)
}

/// Runs this program in a child process, and ends as it does.
pub(crate) fn nested(args: &[String]) -> io::Result<ExitCode> {
    let status = Command::new("/proc/self/exe").args(args).status()?;
    Ok(ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(u8::MAX)))
}

fn wait(time: Duration, on_term: ExitCode) -> ExitCode {
    let began = Instant::now();
    while began.elapsed() < time {
        if TERMED.load(Ordering::SeqCst) {
            println!("got TERM");
            return on_term;
        }
        thread::sleep(Duration::from_millis(10).min(time.saturating_sub(began.elapsed())));
    }
    ExitCode::SUCCESS
}

/// Touches that many bytes and keeps them; prints how far it came.
pub(crate) fn hog_memory(bytes: usize) -> ExitCode {
    const STEP: usize = 1 << 20;
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut done = 0;
    while done < bytes {
        let size = STEP.min(bytes - done);
        kept.push(vec![0xA5; size]);
        done += size;
        if kept.len().is_multiple_of(16) {
            println!("bytes={done}");
        }
    }
    println!("held bytes={done}");
    ExitCode::SUCCESS
}

/// Asks the kernel not to end this process with its parent, and waits for TERM, which it ignores.
pub(crate) fn cling() -> io::Result<ExitCode> {
    use crate::sys::Arg::N;
    let signal = N(i64::from(libc::PR_SET_PDEATHSIG));
    crate::sys::call(libc::SYS_prctl, &mut [signal, N(0), N(0), N(0), N(0)])
        .map_err(io::Error::from_raw_os_error)?;
    catch_term(true);
    println!("waiting for TERM");
    Ok(wait(Duration::MAX, ExitCode::SUCCESS))
}

/// Makes folders, each in the one before: deeper than any path can name.
pub(crate) fn deep(dir: &str, levels: u32) -> io::Result<ExitCode> {
    std::env::set_current_dir(dir)?;
    for _ in 0..levels {
        fs::create_dir("deeper")?;
        std::env::set_current_dir("deeper")?;
    }
    fs::write("bottom", "reached\n")?;
    println!("levels={levels}");
    Ok(ExitCode::SUCCESS)
}

/// Starts that many sleeping processes, prints how many there were, and ends them all.
pub(crate) fn fork_bomb(wanted: u32) -> ExitCode {
    let mut children = Vec::new();
    let mut stopped = String::from("none");
    for _ in 0..wanted.min(MOST_PROCESSES) {
        let mut command = Command::new("/proc/self/exe");
        match command.args(["sleep", "60"]).stdout(Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(e) => {
                stopped = e.to_string();
                break;
            }
        }
    }
    println!("processes={} error={stopped}", children.len());
    for child in &mut children {
        let _ended = child.kill().and_then(|()| child.wait());
    }
    ExitCode::SUCCESS
}

/// `line 1` to `line N`, on the two streams in turn.
pub(crate) fn print_lines(count: u64) -> io::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    for i in 1..=count {
        if i % 2 == 1 { writeln!(out, "line {i}")? } else { writeln!(io::stderr(), "line {i}")? }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Prints `tick 1` to `tick COUNT`, that many milliseconds apart.
pub(crate) fn tick(count: u64, millis: u64) -> io::Result<ExitCode> {
    for i in 1..=count {
        thread::sleep(Duration::from_millis(millis));
        let mut out = io::stdout().lock();
        writeln!(out, "tick {i}")?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints numbered lines of a length on one stream, then writes a model.
pub(crate) fn talk(count: u64, length: usize, model: u64) -> io::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    for i in 1..=count {
        writeln!(out, "{:x<length$}", format!("line {i} "))?;
    }
    out.flush()?;
    drop(out);
    fill("/opt/ml/model/weights", model)
}

/// Makes a file of that many bytes, none of them zero, so that it is not sparse.
pub(crate) fn fill(path: &str, mut bytes: u64) -> io::Result<ExitCode> {
    let mut file = File::create(path)?;
    let block = [0xA5; 1 << 16];
    while bytes > 0 {
        let size = bytes.min(block.len() as u64);
        file.write_all(&block[..size as usize])?;
        bytes -= size;
    }
    file.sync_all()?;
    println!("filled {path}");
    Ok(ExitCode::SUCCESS)
}

/// Puts a symbolic link in the place of a file or a folder.
pub(crate) fn replace(path: &str, target: &str) -> io::Result<ExitCode> {
    if Path::new(path).exists() {
        fs::rename(path, format!("{path}.before"))?;
    }
    symlink(target, path)?;
    println!("replaced {path}");
    Ok(ExitCode::SUCCESS)
}

/// Copies files to standard output.
pub(crate) fn cat(paths: &[String]) -> io::Result<ExitCode> {
    for path in paths {
        io::copy(&mut File::open(path)?, &mut io::stdout().lock())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists a folder: kind, octal mode, size, path; links are not followed, and other file systems
/// not entered; in order.
pub(crate) fn tree(root: &str) -> io::Result<ExitCode> {
    use std::os::unix::fs::MetadataExt;
    let mut todo = vec![Path::new(root).to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let kind = match meta.mode() & libc::S_IFMT {
            libc::S_IFDIR => "dir",
            libc::S_IFREG => "file",
            libc::S_IFLNK => "link",
            libc::S_IFIFO => "fifo",
            _ => "other",
        };
        println!("{kind} {:04o} {} {}", meta.mode() & 0o7777, meta.size(), path.display());
        // The kernel's own file systems have no end.
        let is_endless = ["/proc", "/sys"].iter().any(|p| path == Path::new(p));
        if meta.is_dir() && !is_endless {
            let mut inside = fs::read_dir(&path)?
                .map(|e| e.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()?;
            inside.sort();
            todo.extend(inside.into_iter().rev());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the failure file and exits.
pub(crate) fn write_failure(text: &str, code: u8) -> io::Result<ExitCode> {
    fs::write("/opt/ml/output/failure", text)?;
    Ok(ExitCode::from(code))
}

/// Leaves in a folder (`/opt/ml/model`) what an archiver must not fall for: links out, a link to a
/// folder, a loop, a FIFO, a socket, a file that nobody may read, a name that is not UTF-8.
pub(crate) fn hostile_model(dir: &Path) -> io::Result<ExitCode> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    fs::write(dir.join("model.txt"), "a real file\n")?;
    symlink("/etc/passwd", dir.join("link-absolute"))?;
    symlink("../../../../../../etc/passwd", dir.join("link-up"))?;
    symlink("/", dir.join("link-root"))?;
    symlink("loop", dir.join("loop"))?;
    symlink("model.txt", dir.join("link-inside"))?;
    fs::hard_link(dir.join("model.txt"), dir.join("hard-link"))?;
    let fifo = std::ffi::CString::new(dir.join("fifo").as_os_str().as_bytes())?;
    let mode = i64::from(libc::S_IFIFO | 0o600);
    use crate::sys::Arg::{N, Z};
    crate::sys::call(libc::SYS_mknodat, &mut [N(libc::AT_FDCWD.into()), Z(&fifo), N(mode), N(0)])
        .map_err(io::Error::from_raw_os_error)?;
    std::os::unix::net::UnixListener::bind(dir.join("socket"))?;
    fs::write(dir.join("unreadable"), "secret\n")?;
    fs::set_permissions(dir.join("unreadable"), fs::Permissions::from_mode(0o000))?;
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"not-utf8-\xff")), "x")?;
    Ok(ExitCode::SUCCESS)
}
