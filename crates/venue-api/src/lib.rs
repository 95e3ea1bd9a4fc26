//! What differs between venues, as traits and data: codecs and capabilities.
//!
//! A venue crate implements these traits as a pure codec: no socket, no secret, no clock.
//! Everything that acts gets a codec handed in by the root package.

mod capabilities;
pub mod conformance;
mod mode;
mod public;
mod rest;
mod signing;
mod stream;

pub use capabilities::*;
pub use mode::*;
pub use public::*;
pub use rest::*;
pub use signing::*;
pub use stream::*;

/// All codecs of one venue account, as the root package hands them in.
#[derive(Clone)]
pub struct VenueCodecs {
    /// What the venue can do.
    pub capabilities: Capabilities,
    /// Builds the bytes to be signed.
    pub signing: std::sync::Arc<dyn SigningCodec>,
    /// Reads answers of signed requests.
    pub rest: std::sync::Arc<dyn RestCodec>,
    /// Reads public answers: server time and instruments.
    pub public: std::sync::Arc<dyn PublicRestCodec>,
    /// Speaks the public stream.
    pub feed: std::sync::Arc<dyn FeedCodec>,
    /// Speaks the private stream.
    pub private: std::sync::Arc<dyn PrivateCodec>,
    /// How the venue keeps the account; turned when the venue says that it is the other way.
    pub mode: ModeSwitch,
}
