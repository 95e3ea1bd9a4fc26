//! Notices when somebody sets the wall clock.

use domain::{MonoNanos, UnixNanos};

/// The wall clock moved against the monotonic one by more than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallJump {
    /// Nanoseconds by which the wall clock moved; negative: back.
    pub by_ns: i64,
}

/// Compares the wall clock with the monotonic one, from look to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallWatch {
    last: Option<(UnixNanos, MonoNanos)>,
}

impl WallWatch {
    /// A movement beyond this is a jump: 250 ms, in nanoseconds.
    pub const JUMP_NS_MAX: u64 = 250_000_000;

    /// Takes one look at both clocks, read together.
    ///
    /// Small steps are followed, so slewing by NTP is not a jump when the looks
    /// are at most a few minutes apart. A suspended machine shows as a jump.
    pub fn look(&mut self, unix: UnixNanos, mono: MonoNanos) -> Option<WallJump> {
        let (last_unix, last_mono) = self.last.replace((unix, mono))?;
        let passed = i64::try_from(mono.0.saturating_sub(last_mono.0)).unwrap_or(i64::MAX);
        let by_ns = unix.signed_since(last_unix).saturating_sub(passed);
        (by_ns.unsigned_abs() > Self::JUMP_NS_MAX).then_some(WallJump { by_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn wall_that_keeps_pace_never_jumps() {
        let mut watch = WallWatch::default();
        for second in 0..1_000 {
            // 200 ppm fast.
            let unix = UnixNanos(10 * SECOND + second * SECOND + second * 200_000);
            assert_eq!(watch.look(unix, MonoNanos(second * SECOND)), None);
        }
    }

    #[test]
    fn jump_of_more_than_250_ms_is_told_once_with_its_direction() {
        let mut watch = WallWatch::default();
        assert_eq!(watch.look(UnixNanos(100 * SECOND), MonoNanos(0)), None);
        let at_the_limit = UnixNanos(101 * SECOND + WallWatch::JUMP_NS_MAX);
        assert_eq!(watch.look(at_the_limit, MonoNanos(SECOND)), None);
        let back = at_the_limit.shifted(-1_000_000_000);
        assert_eq!(watch.look(back, MonoNanos(2 * SECOND)), Some(WallJump { by_ns: -2_000_000_000 }));
        assert_eq!(watch.look(back.shifted(1_000_000_000), MonoNanos(3 * SECOND)), None);
    }
}
