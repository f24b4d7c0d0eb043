//! Writes metrics in Prometheus' text format, version 0.0.4.

use crate::document::Decimal;
use std::fmt::Write;

/// A text of metrics, one family after another.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family: all samples of one name. `kind` is `counter`, `gauge` or `summary`.
    pub fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        for (word, what) in [("HELP", help), ("TYPE", kind)] {
            self.text.push_str("# ");
            self.text.push_str(word);
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push(' ');
            self.text.push_str(what);
            self.text.push('\n');
        }
    }

    /// Adds a sample to the family: `value` is in units of 10^-`places`.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: u64, places: usize) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' | '"' => self.text.extend(['\\', c]),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.text, "{}", Decimal(value, places));
    }

    /// Returns the text.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimals_without_zeros_at_their_end() {
        let shown = [(0, 6), (50_000, 6), (1_000_000, 6), (285_714, 6), (12_345, 3), (10, 3), (7, 0), (u64::MAX, 0)];
        let expected = ["0", "0.05", "1", "0.285714", "12.345", "0.01", "7", "18446744073709551615"];
        assert_eq!(shown.map(|(value, places)| Decimal(value, places).to_string()), expected);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = Exposition::default();
        text.family("x_total", "counter", "Things.");
        text.sample("", &[("a", "b\\c\"d\ne"), ("f", "é")], 5, 0);
        text.sample("_sum", &[], 1_500, 3);
        let expected = "# HELP x_total Things.\n# TYPE x_total counter\nx_total{a=\"b\\\\c\\\"d\\ne\",f=\"é\"} 5\nx_total_sum 1.5\n";
        assert_eq!(text.into_text(), expected);
    }
}
