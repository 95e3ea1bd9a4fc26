//! The loader from outside: layers, bad input, shipped files, and the macro used by another crate.

mod bad_input;
mod common;
mod declaration;
mod layering;
mod shipped;
