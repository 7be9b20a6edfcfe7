//! The head before a connection that the fabric carried here from a VPC endpoint. It is believed
//! on the unix socket alone, which nobody but this user can connect to. Whoever carries to it for
//! somebody who came by no endpoint says that first.

use super::tls::Replay;
use belljar_domain::proxy::{FIXED, LOCAL, Proxied, SIGNATURE};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What a connection says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing: it is nobody else's.
    None,
    /// That it is carried for somebody who came by no endpoint.
    Local,
    /// By which endpoint it came.
    Endpoint(Proxied),
}

/// Waits at most `limit` for a connection's first byte, and for the rest of its head if that byte
/// begins one.
///
/// # Errors
/// If nothing comes in time, or what begins like a head is none.
pub(super) async fn accept<S>(mut stream: S, limit: Duration) -> io::Result<(Head, Replay<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = async {
        let mut fixed = [0; FIXED];
        fixed[0] = stream.read_u8().await?;
        if fixed[0] != SIGNATURE[0] {
            return Ok((Head::None, Some(fixed[0])));
        }
        stream.read_exact(&mut fixed[1..]).await?;
        if fixed == LOCAL {
            return Ok((Head::Local, None));
        }
        let mut rest = vec![0; Proxied::rest(&fixed).map_err(io::Error::other)?];
        stream.read_exact(&mut rest).await?;
        let proxied = Proxied::decode(&fixed, &rest).map_err(io::Error::other)?;
        Ok::<_, io::Error>((Head::Endpoint(proxied), None))
    };
    let (head, byte) = tokio::time::timeout(limit, head).await??;
    Ok((head, Replay::new(byte, stream)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn take(said: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let (mut near, far) = tokio::io::duplex(4096);
        near.write_all(said).await?;
        drop(near);
        let (head, mut stream) = accept(far, LIMIT).await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        Ok((head, rest))
    }

    #[tokio::test]
    async fn a_head_is_taken_off_and_all_else_is_left() {
        let proxied = Proxied {
            source: ([10, 0, 1, 10], 4711).into(),
            destination: ([52, 216, 0, 1], 443).into(),
            endpoint: "vpce-1".parse().unwrap(),
        };
        let mut said = proxied.encode().unwrap();
        said.extend(b"GET / HTTP/1.1\r\n");
        let (found, rest) = take(&said).await.unwrap();
        assert_eq!((found, rest.as_slice()), (Head::Endpoint(proxied), &b"GET / HTTP/1.1\r\n"[..]));
        // Behind the head of who came by no endpoint there is no second one.
        let (found, rest) = take(&[&LOCAL[..], &said].concat()).await.unwrap();
        assert_eq!((found, rest), (Head::Local, said.clone()));
        let (found, rest) = take(b"GET /").await.unwrap();
        assert_eq!((found, rest.as_slice()), (Head::None, &b"GET /"[..]));
        let (found, rest) = take(&[22, 3, 1]).await.unwrap();
        assert_eq!((found, rest.as_slice()), (Head::None, &[22, 3, 1][..]));
        assert!(take(b"\r\nGET / HTTP/1.1\r\n").await.is_err());
        assert!(take(&said[..20]).await.is_err());
        assert!(take(b"").await.is_err());
    }
}
