//! Text in columns.

/// Lines of `rows` with columns as wide as their widest cell; the first to the left, the others to the right. The
/// first row is the head.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line += &format!("{cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A number to three digits or so: `148k`, `9.5k`, `77`.
#[must_use]
pub fn count(number: f64) -> String {
    match number {
        thousands if thousands >= 99_950.0 => format!("{:.0}k", thousands / 1_000.0),
        thousands if thousands >= 1_000.0 => {
            let text = format!("{:.1}", thousands / 1_000.0);
            format!("{}k", text.strip_suffix(".0").unwrap_or(&text))
        }
        few if few >= 99.95 => format!("{few:.0}"),
        few => format!("{few:.1}"),
    }
}

/// The middle one of `numbers`, or the mean of the middle two; `None` of none.
#[must_use]
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len().checked_sub(1)? / 2;
    match sorted.len() % 2 {
        1 => sorted.get(middle).copied(),
        _ => Some((sorted.get(middle)? + sorted.get(middle + 1)?) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [vec!["server", "hot"], vec!["knot", "134.2k"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(table(&rows), "server     hot\nknot    134.2k\n");
    }

    #[test]
    fn counts_have_three_digits_or_so() {
        for (number, text) in [
            (148_000.0, "148k"),
            (9_540.0, "9.5k"),
            (1_000.0, "1k"),
            (130.4, "130"),
            (77.3, "77.3"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_median_is_the_middle_of_what_is_there() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
