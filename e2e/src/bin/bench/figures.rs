//! All figures of a run: by measure and peer, one for each round.

use std::collections::BTreeMap;

/// What was measured; rounds that failed are missing.
#[derive(Default)]
pub(crate) struct Figures {
    rounds: BTreeMap<(String, String), BTreeMap<usize, f64>>,
    notes: Vec<String>,
    samples: usize,
    doubtful: usize,
}

/// The middle of several figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, figure: &str, peer: &str, round: usize, value: f64) {
        let key = (figure.to_owned(), peer.to_owned());
        self.rounds.entry(key).or_default().insert(round, value);
    }

    /// Something that the reader must know.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Counts a sample, and whether others were too busy meanwhile.
    pub(crate) fn count_sample(&mut self, doubtful: bool) {
        self.samples += 1;
        self.doubtful += usize::from(doubtful);
    }

    /// How many samples were taken, and how many of them while others were too busy.
    pub(crate) const fn samples(&self) -> (usize, usize) {
        (self.samples, self.doubtful)
    }

    /// The names of all figures, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .rounds
            .keys()
            .map(|(figure, _)| figure.clone())
            .collect();
        names.dedup();
        names
    }

    /// All rounds of one figure at one peer.
    pub(crate) fn spread(&self, figure: &str, peer: &str) -> Option<Spread> {
        spread(self.of(figure, peer)?.values().copied())
    }

    /// One figure at one peer against a figure at another, round by round.
    pub(crate) fn ratio(
        &self,
        (figure, peer): (&str, &str),
        (basis, other): (&str, &str),
    ) -> Option<Spread> {
        let (ours, theirs) = (self.of(figure, peer)?, self.of(basis, other)?);
        let pairs = ours
            .iter()
            .filter_map(|(round, value)| Some((value, theirs.get(round)?)));
        spread(
            pairs
                .filter(|(_, other)| **other > 0.0)
                .map(|(value, other)| value / other),
        )
    }

    fn of(&self, figure: &str, peer: &str) -> Option<&BTreeMap<usize, f64>> {
        self.rounds.get(&(figure.to_owned(), peer.to_owned()))
    }
}

/// The median of an even number is the mean of the two in the middle.
pub(crate) fn spread(figures: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Spread {
        median: f64::midpoint(lower, upper),
        least,
        most,
    })
}

/// The value below which `share` of all lie.
pub(crate) fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count far below 2^52"
    )]
    let index = ((figures.len().saturating_sub(1)) as f64 * share).round() as usize;
    figures.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let found = spread([4.0, 1.0, 2.0, 100.0].into_iter()).unwrap();
        assert_eq!(
            found,
            Spread {
                median: 3.0,
                least: 1.0,
                most: 100.0
            }
        );
        assert_eq!(spread(std::iter::empty()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_rounds_that_failed_are_left_out() {
        let mut figures = Figures::default();
        for (round, ours, theirs) in [(0, 10.0, 5.0), (1, 40.0, 10.0), (2, 9.0, 3.0)] {
            figures.add("a", "ours", round, ours);
            figures.add("a", "theirs", round, theirs);
        }
        figures.add("a", "ours", 3, 1000.0);
        let ratio = figures.ratio(("a", "ours"), ("a", "theirs")).unwrap();
        assert_eq!(
            ratio,
            Spread {
                median: 3.0,
                least: 2.0,
                most: 4.0
            }
        );
        assert_eq!(figures.ratio(("a", "ours"), ("a", "nobody")), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_figures() {
        let mut figures: Vec<f64> = (0..101).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut figures, 0.5), 50.0);
        assert_eq!(quantile(&mut figures, 0.99), 99.0);
        assert_eq!(quantile(&mut [], 0.5).to_bits(), f64::NAN.to_bits());
    }
}
