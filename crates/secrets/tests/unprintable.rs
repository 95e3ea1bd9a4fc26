//! Types that hold a secret offer no way to print, copy or serialise it.

use std::{fmt, marker::PhantomData};

/// Answers whether `T` has a trait: an associated constant of its own wins over the fallback's.
struct Probe<T>(PhantomData<T>);

trait Absent {
    const DEBUG: bool = false;
    const DISPLAY: bool = false;
    const CLONE: bool = false;
    const SERIALIZE: bool = false;
    const LOWER_HEX: bool = false;
}
impl<T> Absent for Probe<T> {}

impl<T: fmt::Debug> Probe<T> {
    const DEBUG: bool = true;
}
impl<T: fmt::Display> Probe<T> {
    const DISPLAY: bool = true;
}
impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}
impl<T: serde::Serialize> Probe<T> {
    const SERIALIZE: bool = true;
}
impl<T: fmt::LowerHex> Probe<T> {
    const LOWER_HEX: bool = true;
}

macro_rules! traits_of {
    ($type:ty) => {
        [
            <Probe<$type>>::DEBUG,
            <Probe<$type>>::DISPLAY,
            <Probe<$type>>::CLONE,
            <Probe<$type>>::SERIALIZE,
            <Probe<$type>>::LOWER_HEX,
        ]
    };
}

#[test]
fn secret_types_cannot_be_printed_cloned_or_serialised() {
    assert_eq!(traits_of!(secrets::SecretBytes), [false; 5]);
    assert_eq!(traits_of!(secrets::Secret<32>), [false; 5]);
    assert_eq!(traits_of!(secrets::SigningKey), [false; 5]);
    assert_eq!(traits_of!(u64), [true; 5], "the probe finds the traits of a type that has them");
}

#[test]
fn secret_types_may_be_used_from_several_threads() {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<secrets::SecretBytes>();
    crosses_threads::<secrets::Secret<32>>();
    crosses_threads::<secrets::SigningKey>();
}
