//! Tables on stdout.

/// Formats a table with columns as kubectl sets them: three spaces apart.
pub(crate) fn table<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let lines: Vec<&[String; N]> = std::iter::once(&head).chain(rows).collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line.iter()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths);
        let padded: String = cells
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}
