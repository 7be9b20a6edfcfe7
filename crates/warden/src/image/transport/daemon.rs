//! `docker-daemon:`, an image of the local Docker daemon, by its API over a Unix socket.

use super::registry::{contact, text_of, unix_client};
use super::tar_index::unnamed;
use crate::image::error::ImageError;
use crate::image::limits::MAX_LAYER_TAR;
use reqwest::StatusCode;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A Docker daemon.
pub(in crate::image) struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// The socket of `DOCKER_HOST`, if that is a Unix one, else Docker's own.
    pub(in crate::image) fn default_socket() -> Self {
        let given = std::env::var("DOCKER_HOST").ok();
        let path = given.as_deref().and_then(|host| host.strip_prefix("unix://"));
        Self::at(Path::new(path.unwrap_or("/var/run/docker.sock")))
    }

    pub(in crate::image) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Streams `docker save NAME` into a file without a name in `folder`.
    pub(super) async fn save(&self, name: &str, folder: &Path) -> Result<File, ImageError> {
        let server = format!("the Docker daemon at {}", self.socket.display());
        let client = unix_client(&self.socket).map_err(|e| contact(&server, e))?;
        // The host is of no meaning on a Unix socket.
        let url = format!("http://localhost/images/{name}/get");
        let mut response = client.get(url).send().await.map_err(|e| contact(&server, e))?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => {
                let name = name.to_owned();
                return Err(ImageError::NotFound { source_name: server, name, found: Vec::new() });
            }
            status => {
                return Err(ImageError::Answer {
                    server,
                    status: status.as_u16(),
                    what: format!("a request for {name}"),
                    text: text_of(response).await,
                });
            }
        }
        let mut file = unnamed(folder)?;
        let mut total = 0;
        while let Some(part) = response.chunk().await.map_err(|e| contact(&server, e))? {
            total += part.len() as u64;
            if total > MAX_LAYER_TAR {
                return Err(ImageError::Document {
                    what: format!("docker-daemon:{name}"),
                    reason: format!("it is larger than {MAX_LAYER_TAR} bytes"),
                });
            }
            file.write_all(&part)
                .map_err(|source| ImageError::WriteStore { path: folder.to_owned(), source })?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::unix::net::UnixListener;

    /// Answers one request and tells its first line.
    fn daemon(socket: &Path, answer: &'static [u8]) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            text.lines().next().unwrap_or_default().to_owned()
        })
    }

    fn save(socket: &Path, folder: &Path) -> Result<File, ImageError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Daemon::at(socket).save("demo:1", folder))
    }

    #[test]
    fn the_daemon_is_asked_over_its_socket() {
        let at = tempfile::tempdir().unwrap();
        let socket = at.path().join("s");
        let asked = daemon(&socket, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nimage");
        let mut file = save(&socket, at.path()).unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "image");
        assert_eq!(asked.join().unwrap(), "GET /images/demo:1/get HTTP/1.1");
    }

    #[test]
    fn no_daemon_and_no_image_are_told_apart() {
        let at = tempfile::tempdir().unwrap();
        let socket = at.path().join("s");
        let none = save(&socket, at.path()).unwrap_err();
        assert!(matches!(none, ImageError::Contact { .. }), "{none:?}");
        let asked = daemon(&socket, b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}");
        let missing = save(&socket, at.path()).unwrap_err();
        assert!(matches!(missing, ImageError::NotFound { .. }), "{missing:?}");
        asked.join().unwrap();
    }
}
