//! What was measured, and how it is shown.

use std::time::Duration;

/// Plain TCP and chat in the same run, by turns.
#[derive(Default)]
pub struct Comparison {
    plain: Vec<Duration>,
    chat: Vec<Duration>,
    /// Of the medians of each round.
    ratios: Vec<f64>,
}

impl Comparison {
    /// Measures by turns, so that both see the same noise.
    pub fn by_turns(
        rounds: usize,
        mut plain: impl FnMut() -> Vec<Duration>,
        mut chat: impl FnMut() -> Vec<Duration>,
    ) -> Comparison {
        // What happens for the first time is not measured.
        plain();
        chat();
        let mut comparison = Comparison::default();
        for _ in 0..rounds {
            let (plain, chat) = (plain(), chat());
            comparison.ratios.push(ratio(quantile(&chat, 0.5), quantile(&plain, 0.5)));
            comparison.plain.extend(plain);
            comparison.chat.extend(chat);
        }
        comparison
    }

    /// How long the median of plain TCP takes.
    pub fn plain_p50(&self) -> Duration {
        quantile(&self.plain, 0.5)
    }

    /// Shows times, and the ratio with its upper limit.
    pub fn show_times(&self, what: &str, limit: f64) {
        let ratio = median(&self.ratios);
        println!(
            "{what:<46} {:>9} {:>9} {:>9} {:>9} {ratio:>7.2} {:>7} {}",
            micros(quantile(&self.plain, 0.5)),
            micros(quantile(&self.plain, 0.99)),
            micros(quantile(&self.chat, 0.5)),
            micros(quantile(&self.chat, 0.99)),
            format!("≤ {limit}"),
            verdict(ratio <= limit),
        );
    }

    /// Shows how often something happens each second if it happens `count` times in each of the times
    /// measured, and the ratio with its lower limit.
    pub fn show_rates(&self, what: &str, count: usize, limit: f64) {
        let ratio = 1.0 / median(&self.ratios);
        let rate = |times: &[Duration], q| format!("{:.0}", count as f64 / quantile(times, q).as_secs_f64());
        println!(
            "{what:<46} {:>9} {:>9} {:>9} {:>9} {ratio:>7.2} {:>7} {}",
            rate(&self.plain, 0.5),
            rate(&self.plain, 1.0),
            rate(&self.chat, 0.5),
            rate(&self.chat, 1.0),
            format!("≥ {limit}"),
            verdict(limit <= ratio),
        );
    }
}

/// The heads of the columns of [`Comparison::show_times`].
pub fn show_heads(unit: &str, second: &str) {
    let (plain, chat) = (format!("TCP {second}"), format!("chat {second}"));
    println!(
        "\n{unit:<46} {:>9} {plain:>9} {:>9} {chat:>9} {:>7} {:>7}",
        "TCP p50", "chat p50", "ratio", "limit"
    );
}

/// Shows one figure with its upper limit.
pub fn show_figure(what: &str, figure: f64, unit: &str, limit: Option<f64>) {
    let limit =
        limit.map_or(String::new(), |limit| format!("  ≤ {limit} {unit}  {}", verdict(figure <= limit)));
    println!("{what:<56} {figure:>9.2} {unit}{limit}");
}

/// The value below which the part `q` of all values lies.
pub fn quantile(values: &[Duration], q: f64) -> Duration {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "NOT REACHED" }
}
