//! The login machine with a watch: when the database has greeted, and when all is said.

use proto::Refusal;
use proto::machine::{Face, Inputs, Machine, Step, Violation};
use proto::mysql::{Login, Outcome};
use tokio::time::Instant;

use crate::legs::{Leg, Legs};

/// A login whose legs are timed.
pub(super) struct Timed<'l> {
    pub(super) login: Login,
    legs: &'l Legs,
    /// When the leg under way began.
    begun: Instant,
    has_greeted: bool,
}

impl<'l> Timed<'l> {
    /// The database is to greet.
    pub(super) fn new(login: Login, legs: &'l Legs) -> Self {
        Self {
            login,
            legs,
            begun: Instant::now(),
            has_greeted: false,
        }
    }

    /// The database has said yes or no, or was not asked.
    pub(super) fn ended(&self) {
        if self.has_greeted {
            self.legs.since(Leg::Authentication, self.begun);
        }
    }
}

impl Machine for Timed<'_> {
    type Outcome = Outcome;

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Outcome>, Violation> {
        let step = self.login.step(input);
        if !self.has_greeted && self.login.version().is_some() {
            self.has_greeted = true;
            self.legs.since(Leg::Greeting, self.begun);
            self.begun = Instant::now();
        }
        step
    }

    fn wants(&self, face: Face) -> bool {
        self.login.wants(face)
    }

    fn max_input(&self) -> usize {
        self.login.max_input()
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        self.login.farewell(refusal)
    }
}
