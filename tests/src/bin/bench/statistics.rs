//! What many measured times come to.

use std::time::Duration;

/// The smallest and the middle of several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) least: Duration,
    pub(crate) median: Duration,
}

impl Summary {
    /// `None` when nothing was measured.
    pub(crate) fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let (least, middle) = (*sorted.first()?, sorted.len() / 2);
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2 };
        Some(Self { least, median })
    }

    /// This median as a multiple of another.
    pub(crate) fn ratio(self, other: Self) -> f64 {
        self.median.as_secs_f64() / other.median.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_even_counts() {
        let times = |values: &[u64]| values.iter().map(|n| Duration::from_micros(*n)).collect::<Vec<_>>();
        let odd = Summary::of(&times(&[9, 1, 5])).unwrap();
        assert_eq!((odd.least.as_micros(), odd.median.as_micros()), (1, 5));
        let even = Summary::of(&times(&[4, 1, 2, 9])).unwrap();
        assert_eq!((even.least.as_micros(), even.median.as_micros()), (1, 3));
        assert!((even.ratio(odd) - 0.6).abs() < 1e-9);
        assert_eq!(Summary::of(&[]), None);
    }
}
