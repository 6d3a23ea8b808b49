//! When to renew and how long to wait after a failure: pure functions of what they are given.
//!
//! Randomness is an argument: a number in `0.0..1.0`, so that tests can choose it.

use std::time::Duration;

/// Longest wait between two tries in the background.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// First step of the back-off.
const BASE_BACKOFF: Duration = Duration::from_millis(500);

/// How long after `elapsed` of a `lifetime` to renew: at 50 to 75 % of the life, spread by `random`.
///
/// Zero when that point has passed, for instance after the machine slept.
pub fn renew_in(lifetime: Duration, elapsed: Duration, random: f64) -> Duration {
    let share = random.clamp(0.0, 1.0).mul_add(0.25, 0.5);
    lifetime.mul_f64(share).saturating_sub(elapsed)
}

/// Full-jitter back-off: a random part of 0.5 s, 1 s, 2 s, ... up to [`MAX_BACKOFF`].
///
/// `failures` is 1 after the first failure. Never less than 50 ms, so that no caller spins.
pub fn backoff(failures: u32, random: f64) -> Duration {
    let doubled = BASE_BACKOFF.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled
        .min(MAX_BACKOFF)
        .mul_f64(random.clamp(0.0, 1.0))
        .max(Duration::from_millis(50))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_spread_over_the_third_quarter_of_the_life() {
        let life = Duration::from_secs(3600);
        let at = |elapsed, random| renew_in(life, Duration::from_secs(elapsed), random).as_secs();
        assert_eq!(at(0, 0.0), 1800);
        assert_eq!(at(0, 1.0), 2700);
        assert_eq!(at(600, 0.5), 1650);
        assert_eq!(at(3000, 0.0), 0);
        assert_eq!(at(999_999, 1.0), 0);
    }

    #[test]
    fn backoff_doubles_from_the_first_failure_and_is_capped() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(backoff(2, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(7, 1.0), MAX_BACKOFF);
        assert_eq!(backoff(u32::MAX, 1.0), MAX_BACKOFF);
        assert_eq!(backoff(3, 0.0), Duration::from_millis(50));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(1));
    }
}
