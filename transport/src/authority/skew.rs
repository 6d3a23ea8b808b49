//! How far our clock is from the CA's, measured by the `Date` of its answers.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::warn;

use crate::Clock;

/// A difference that people are told about, and that explains refusals.
pub const NOTABLE: Duration = Duration::from_secs(30);
/// `Date` has whole seconds: the true time lies half a second later on average.
const HALF_RESOLUTION: Duration = Duration::from_millis(500);
/// A difference that the resolution and the way through the network alone may make: not corrected.
const NOISE: Duration = Duration::from_secs(2);
/// An answer that took longer says nothing about the clock.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);

/// A difference between two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Whether ours is behind the CA's.
    pub behind: bool,
    /// By how much.
    pub amount: Duration,
    /// Our time when it was measured.
    pub ours: SystemTime,
    /// The CA's time at that moment.
    pub theirs: SystemTime,
}

impl Skew {
    fn between(ours: SystemTime, theirs: SystemTime) -> Self {
        let (behind, amount) = match theirs.duration_since(ours) {
            Ok(amount) => (true, amount),
            Err(error) => (false, error.duration()),
        };
        Self {
            behind,
            amount,
            ours,
            theirs,
        }
    }

    /// Whether it is large enough to explain a refusal.
    pub fn is_notable(&self) -> bool {
        self.amount > NOTABLE
    }

    /// Seconds, positive when ours is behind.
    pub fn seconds(&self) -> f64 {
        let amount = self.amount.as_secs_f64();
        if self.behind { amount } else { -amount }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this machine's clock is {} s {} the CA's: here {}, at the CA {}",
            self.amount.as_secs_f64().round(),
            if self.behind { "behind" } else { "ahead of" },
            httpdate::fmt_http_date(self.ours),
            httpdate::fmt_http_date(self.theirs)
        )
    }
}

/// Measures the difference and corrects for it.
pub(super) struct SkewMeter {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    measured: Option<(Skew, Instant)>,
    /// The difference that people were told about.
    told: Option<f64>,
}

impl SkewMeter {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// A request is about to be sent.
    pub(super) fn begin(&self) -> (SystemTime, Instant) {
        ((self.clock)(), Instant::now())
    }

    /// Its answer bore this `Date`.
    pub(super) fn answered(&self, (sent, started): (SystemTime, Instant), date: &str) {
        let round_trip = started.elapsed();
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        if round_trip > MAX_ROUND_TRIP {
            return;
        }
        let skew = Skew::between(sent + round_trip / 2, date + HALF_RESOLUTION);
        let mut state = self.state();
        state.measured = Some((skew, Instant::now()));
        tell(&mut state, &skew);
    }

    pub(super) fn skew(&self) -> Option<Skew> {
        self.state().measured.map(|(skew, _)| skew)
    }

    /// The CA's time, as well as we know it.
    ///
    /// Both our wall clock and our stopwatch can be behind: somebody sets the one back, and the other stands still
    /// while the machine sleeps. The later of the two is taken, so that no certificate passes for younger than it is.
    pub(super) fn now(&self) -> SystemTime {
        let wall = (self.clock)();
        let Some((skew, at)) = self.state().measured else {
            return wall;
        };
        if skew.amount <= NOISE {
            return wall.max(skew.ours + at.elapsed());
        }
        let corrected = if skew.behind {
            wall.checked_add(skew.amount)
        } else {
            wall.checked_sub(skew.amount)
        };
        corrected.unwrap_or(wall).max(skew.theirs + at.elapsed())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code panics while it holds the lock, and a half-written state cannot be.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Warns once, and again when the difference has become another one.
fn tell(state: &mut State, skew: &Skew) {
    if !skew.is_notable() {
        state.told = None;
        return;
    }
    let changed = state
        .told
        .is_none_or(|told| (told - skew.seconds()).abs() > NOTABLE.as_secs_f64());
    if changed {
        state.told = Some(skew.seconds());
        warn!(
            behind_seconds = skew.seconds(),
            ours = httpdate::fmt_http_date(skew.ours),
            theirs = httpdate::fmt_http_date(skew.theirs),
            "this machine's clock differs from the CA's"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::UNIX_EPOCH;

    use super::*;

    /// A clock that a test sets, in seconds since 1970.
    fn settable(seconds: u64) -> (Clock, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(seconds));
        let read = Arc::clone(&time);
        let clock = move || UNIX_EPOCH + Duration::from_secs(read.load(Ordering::SeqCst));
        (Arc::new(clock), time)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn near(left: SystemTime, right: SystemTime) -> bool {
        Skew::between(left, right).amount < Duration::from_secs(2)
    }

    fn measured(ours: u64, theirs: u64) -> (SkewMeter, Arc<AtomicU64>) {
        let (clock, time) = settable(ours);
        let meter = SkewMeter::new(clock);
        meter.answered(meter.begin(), &httpdate::fmt_http_date(at(theirs)));
        (meter, time)
    }

    #[test]
    fn a_clock_behind_the_ca_is_measured_told_with_its_sign_and_corrected() {
        let (meter, _) = measured(1_000_000, 1_000_600);
        let skew = meter.skew().unwrap();
        assert!(skew.behind && skew.is_notable());
        assert!((600.0..602.0).contains(&skew.seconds()), "{skew}");
        assert!(near(meter.now(), at(1_000_600)));
        assert!(skew.to_string().contains("behind the CA's"), "{skew}");
        let (meter, _) = measured(1_000_600, 1_000_000);
        assert!(meter.skew().unwrap().to_string().contains("ahead of"));
        assert!(near(meter.now(), at(1_000_000)));
    }

    #[test]
    fn a_small_difference_is_noise_and_not_corrected() {
        let (meter, _) = measured(1_000_000, 1_000_001);
        assert!(!meter.skew().unwrap().is_notable());
        assert!(near(meter.now(), at(1_000_000)));
    }

    #[test]
    fn a_clock_set_back_after_the_measurement_does_not_make_certificates_younger() {
        let (meter, time) = measured(1_000_000, 1_000_000);
        time.store(1_000_000 - 3600, Ordering::SeqCst);
        assert!(near(meter.now(), at(1_000_000)));
    }

    #[test]
    fn a_sleep_is_noticed_although_the_stopwatch_stood_still() {
        let (meter, time) = measured(1_000_000, 1_000_600);
        time.store(1_000_000 + 7200, Ordering::SeqCst);
        assert!(near(meter.now(), at(1_000_600 + 7200)));
    }

    #[test]
    fn a_date_that_is_none_changes_nothing() {
        let (clock, _) = settable(5);
        let meter = SkewMeter::new(clock);
        meter.answered(meter.begin(), "yesterday");
        assert_eq!(meter.skew(), None);
        assert_eq!(meter.now(), at(5));
    }
}
