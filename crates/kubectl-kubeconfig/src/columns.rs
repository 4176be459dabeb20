//! Tables in the format of kubectl.

use crate::say::printable;

/// Returns the rows with aligned columns, three spaces apart, without the characters that
/// [`printable`] removes.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let clean = |cell: &String| printable(cell);
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(clean).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column) + 3;
            line.push_str(&format!("{cell:width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["NAME", "STATE"], ["é", "Active"], ["longer\u{1b}[2J", ""]];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|&it| it.to_owned()).collect())
            .collect();
        assert_eq!(
            columns(&rows),
            "NAME        STATE\né           Active\nlonger[2J\n"
        );
    }
}
