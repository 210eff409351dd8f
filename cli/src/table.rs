//! Tables for people: columns as wide as they must be, long cells on several lines.

/// Widest cell, in characters.
const WIDEST: usize = 52;

/// Lays out a heading and rows in columns.
pub(crate) fn layout<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let cells: Vec<[Vec<String>; N]> =
        rows.iter().map(|row| std::array::from_fn(|column| wrap(&row[column]))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let lines = cells.iter().flat_map(|row| &row[column]).map(|line| line.chars().count());
        lines.chain([heading[column].len()]).max().unwrap_or(0)
    });
    let mut text = line(&heading.map(str::to_owned), &widths);
    for row in &cells {
        let height = row.iter().map(Vec::len).max().unwrap_or(1);
        for index in 0..height {
            let parts: [String; N] =
                std::array::from_fn(|column| row[column].get(index).cloned().unwrap_or_default());
            text.push_str(&line(&parts, &widths));
        }
    }
    text
}

fn line<const N: usize>(parts: &[String; N], widths: &[usize; N]) -> String {
    let mut text = String::new();
    for (part, width) in parts.iter().zip(widths) {
        text.push_str(part);
        text.extend(std::iter::repeat_n(' ', width + 2 - part.chars().count()));
    }
    format!("{}\n", text.trim_end())
}

fn wrap(cell: &str) -> Vec<String> {
    cell.split('\n').flat_map(wrap_line).collect()
}

/// Breaks a line at spaces. A word that is too long stays whole: it may be a path that somebody copies.
fn wrap_line(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if last == 0 => line.push_str(word),
            Some(line) if last + 1 + word.chars().count() <= WIDEST => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let rows = [["a".to_owned(), "one".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(layout(["X", "Y"], &rows), "X     Y\na     one\nlong\n");
    }

    #[test]
    fn a_cell_may_have_lines_of_its_own() {
        assert_eq!(layout(["X", "Y"], &[["a".to_owned(), "one\ntwo".to_owned()]]), "X  Y\na  one\n   two\n");
    }

    #[test]
    fn a_long_cell_is_broken_at_spaces_and_loses_nothing() {
        let cell = "word ".repeat(30);
        let text = layout(["X"], &[[cell.trim().to_owned()]]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDEST));
        assert_eq!(text.matches("word").count(), 30);
    }
}
