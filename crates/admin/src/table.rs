//! Tables on stdout. Cells may contain untrusted texts, which are made printable.

use machinery::invisible::printable;

/// The maximum number of characters of a cell. Addresses of clusters are shorter.
const MAX_CELL: usize = 128;

/// Formats a table in the format of kubectl, with three spaces between columns. Cells are
/// printable, and shortened to [`MAX_CELL`] characters.
pub(crate) fn table<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows = rows.iter().map(|row| row.each_ref().map(|text| cell(text)));
    let lines: Vec<[String; N]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line.iter()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths);
        let padded: String = cells
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the text of a cell. An ellipsis replaces the part that is cut off.
fn cell(text: &str) -> String {
    let shown = printable(text);
    match shown.char_indices().nth(MAX_CELL) {
        None => shown,
        Some(_) => shown.chars().take(MAX_CELL - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: &str) -> [String; 2] {
        [first.to_owned(), "b".to_owned()]
    }

    #[test]
    fn a_long_cell_is_cut_and_a_short_one_is_not() {
        let (most, more) = ("ä".repeat(128), "ä".repeat(70_000));
        let text = table(&["A", "B"], &[row(&most), row(&more)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("A{}   B", " ".repeat(127)));
        assert_eq!(lines[1], format!("{most}   b"));
        assert_eq!(lines[2], format!("{}…   b", "ä".repeat(127)));
    }

    #[test]
    fn a_cell_cannot_write_beyond_its_place() {
        let text = table(
            &["A", "B"],
            &[row("x\u{1b}[2J\ny\u{202e}\u{9b}z\tw\u{2028}v")],
        );
        assert_eq!(text, "A            B\nx[2J yzw v   b\n");
    }
}
