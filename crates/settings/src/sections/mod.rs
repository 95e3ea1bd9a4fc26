//! Every setting of the program, by file.

mod main;
mod notify;
mod risk;
mod strategy;
mod venue;

pub use main::*;
pub use notify::*;
pub use risk::*;
pub use strategy::*;
pub use venue::*;
