//! Connections before their first request: how many one address may have, and TLS.

use crate::failures::counted_as;
use crate::limits::{CONNECTIONS_PER_ADDRESS_MAX, HANDSHAKE_PATIENCE};
use actix_http::error::DispatchError;
use actix_rt::net::{ActixStream, Ready, TcpStream, UnixStream};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The open connections of each address.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place; free again when dropped.
pub(crate) struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// A place for one more connection of this address; `None`: it has enough.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Place> {
        let address = counted_as(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// A connection of any way in.
pub(crate) enum Connection {
    /// Plain, over TCP; loopback only. The place is given back when the connection ends.
    Plain { stream: TcpStream, _place: Place },
    /// TLS over TCP.
    Tls { stream: Box<TlsStream<TcpStream>>, _place: Place },
    /// Over the Unix socket.
    Socket(UnixStream),
}

/// Lets a TCP connection in: finds its place and, when the server speaks TLS, shakes hands.
pub(crate) async fn admit(
    stream: TcpStream,
    crowd: Crowd,
    tls: Option<TlsAcceptor>,
) -> Result<(Connection, Option<SocketAddr>), DispatchError> {
    let refused = |reason, why| {
        telemetry::http_connections_refused_total(reason).increment(1);
        DispatchError::Io(io::Error::new(io::ErrorKind::ConnectionRefused, why))
    };
    let peer = stream.peer_addr().map_err(DispatchError::Io)?;
    let place = crowd.place(peer.ip()).ok_or_else(|| refused("crowd", "too many connections of one address"))?;
    let connection = match tls {
        None => Connection::Plain { stream, _place: place },
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
            Ok(stream) => Connection::Tls { stream: Box::new(stream.map_err(DispatchError::Io)?), _place: place },
            Err(_) => return Err(refused("handshake_slow", "the handshake took too long")),
        },
    };
    Ok((connection, Some(peer)))
}

macro_rules! each {
    ($connection:expr, $stream:ident => $work:expr) => {
        match $connection {
            Connection::Plain { stream: $stream, .. } => $work,
            Connection::Tls { stream: $stream, .. } => $work,
            Connection::Socket($stream) => $work,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl ActixStream for Connection {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match self {
            Self::Plain { stream, .. } => ActixStream::poll_read_ready(stream, cx),
            Self::Tls { stream, .. } => ActixStream::poll_read_ready(stream.get_ref().0, cx),
            Self::Socket(stream) => ActixStream::poll_read_ready(stream, cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match self {
            Self::Plain { stream, .. } => ActixStream::poll_write_ready(stream, cx),
            Self::Tls { stream, .. } => ActixStream::poll_write_ready(stream.get_ref().0, cx),
            Self::Socket(stream) => ActixStream::poll_write_ready(stream, cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_sixteen_places_and_its_neighbour_has_its_own() {
        let crowd = Crowd::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut places: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| crowd.place(one).unwrap()).collect();
        assert!(crowd.place(one).is_none());
        assert!(crowd.place(other).is_some());
        places.pop();
        assert!(crowd.place(one).is_some());
        places.clear();
        assert!(crowd.0.lock().unwrap().is_empty(), "nothing is remembered of those who left");
    }
}
