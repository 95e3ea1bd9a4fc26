//! The only code that reads the machine's time, and what is known about a venue's time.
//!
//! Everything else takes a `domain::Clock` or a `now`. Invariants: the monotonic
//! time of one process has one zero; an offset is never given without its
//! uncertainty; after a jump of the wall clock there is no offset until a new
//! sample arrives.

mod manual;
mod system;
mod venue;
mod wall;

pub use manual::ManualClock;
pub use system::SystemClock;
pub use venue::{ClockDoubt, OffsetEstimate, OffsetSample, SampleError, VenueOffset};
pub use wall::{WallJump, WallWatch};
