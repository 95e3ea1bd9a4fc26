//! A socket that keeps message boundaries: whole frames, bounded, with a time limit, or looked at without waiting.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Why a frame did not come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The other end is gone.
    #[error("the other process is gone")]
    Gone,
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
    /// The frame is larger than the buffer.
    #[error("a frame is too large")]
    TooLarge,
    /// The system refused.
    #[error("socket: {0}")]
    System(#[from] Errno),
}

/// One end of a socket that keeps message boundaries.
#[derive(Debug)]
pub struct Packets(OwnedFd);

/// Two connected ends, closed when a program is started.
///
/// # Errors
/// [`SocketError::System`].
pub fn pair() -> Result<(Packets, Packets), SocketError> {
    let (left, right) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Packets(left), Packets(right)))
}

impl Packets {
    /// An end that was inherited or received.
    #[must_use]
    pub const fn over(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The descriptor, to be handed to a child.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// The descriptor, to be sent along.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// How long [`Self::receive`] waits; `None`: for ever.
    ///
    /// # Errors
    /// [`SocketError::System`].
    pub fn wait_at_most(&self, limit: Option<Duration>) -> Result<(), SocketError> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, limit)?)
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// [`SocketError::Gone`] when nobody listens any more.
    pub fn send(&self, frame: &[u8]) -> Result<(), SocketError> {
        self.send_as(frame, SendFlags::NOSIGNAL)
    }

    /// Sends one frame, or fails with [`SocketError::Late`] when the other end reads nothing.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn send_now(&self, frame: &[u8]) -> Result<(), SocketError> {
        self.send_as(frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    fn send_as(&self, frame: &[u8], flags: SendFlags) -> Result<(), SocketError> {
        loop {
            match send(&self.0, frame, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(SocketError::Gone),
                Err(Errno::AGAIN) => return Err(SocketError::Late),
                Err(Errno::MSGSIZE) => return Err(SocketError::TooLarge),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives one frame; waits. The bytes of the frame stand at the front of `buffer`.
    ///
    /// # Errors
    /// [`SocketError::Late`] after the limit, [`SocketError::Gone`] at the end, [`SocketError::TooLarge`].
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.receive_as(buffer, RecvFlags::TRUNC)?.ok_or(SocketError::Late)
    }

    /// Receives one frame if one is there.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn look(&self, buffer: &mut [u8]) -> Result<Option<usize>, SocketError> {
        self.receive_as(buffer, RecvFlags::TRUNC | RecvFlags::DONTWAIT)
    }

    /// Whether the other end is gone. What it sent before is not looked at.
    ///
    /// # Errors
    /// [`SocketError::System`].
    pub fn is_gone(&self) -> Result<bool, SocketError> {
        const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Nothing is asked about; that the other end has hung up is told unasked.
        let mut polled = [PollFd::new(&self.0, PollFlags::empty())];
        match poll(&mut polled, Some(&AT_ONCE)) {
            Ok(0) | Err(Errno::INTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn receive_as(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<Option<usize>, SocketError> {
        loop {
            match recv(&self.0, &mut *buffer, flags) {
                Ok((_, 0)) => return Err(SocketError::Gone),
                Ok((_, len)) if len > buffer.len() => return Err(SocketError::TooLarge),
                Ok((_, len)) => return Ok(Some(len)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::CONNRESET) => return Err(SocketError::Gone),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Most descriptors that come with one frame.
    pub const DESCRIPTORS_MAX: usize = 4;

    /// Sends one frame and descriptors with it.
    ///
    /// # Errors
    /// [`SocketError`]; [`SocketError::TooLarge`] above [`Self::DESCRIPTORS_MAX`].
    pub fn send_with(&self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), SocketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Packets::DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(SocketError::TooLarge);
        }
        sendmsg(&self.0, &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives one frame and the descriptors that came with it.
    ///
    /// # Errors
    /// [`SocketError::Gone`] at the end.
    pub fn receive_with(&self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), SocketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Packets::DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 { Err(SocketError::Gone) } else { Ok((received.bytes, descriptors)) }
    }
}
