//! What lies in the middle of many numbers, and near their ends.

/// What the paper tells: the mean, and what it calls the 1st and the 99th percentile.
pub type Measured = (f64, usize, usize);

/// The mean and some percentiles.
#[derive(Clone, Debug)]
pub struct Spread {
    pub mean: f64,
    sorted: Vec<usize>,
}

impl Spread {
    /// Of numbers in any order, at least one.
    pub fn of(mut numbers: Vec<usize>) -> Spread {
        assert!(!numbers.is_empty(), "something was measured");
        numbers.sort_unstable();
        Spread { mean: numbers.iter().sum::<usize>() as f64 / numbers.len() as f64, sorted: numbers }
    }

    /// The number below which so many percent of all are, 0 to 99.
    pub fn percentile(&self, percent: usize) -> usize {
        self.sorted[self.sorted.len() * percent / 100]
    }

    /// The mean, and these percentiles, as cells of a table.
    pub fn cells(&self, percents: &[usize]) -> Vec<String> {
        let percentiles = percents.iter().map(|&percent| self.percentile(percent).to_string());
        [format!("{:.2}", self.mean)].into_iter().chain(percentiles).collect()
    }
}

/// The least and the greatest mean of the numbers of one ring.
pub fn least_and_most(rings: &[Vec<usize>]) -> (f64, f64) {
    let means = rings.iter().map(|numbers| Spread::of(numbers.clone()).mean);
    means.fold((f64::MAX, f64::MIN), |(least, most), mean| (least.min(mean), most.max(mean)))
}
