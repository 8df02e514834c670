//! Aligned columns. A cell too wide for its column continues on the next line, broken between words
//! only: an id or an address is never cut.

/// How a column is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    widest: usize,
    right: bool,
}

impl Column {
    /// Text, continued on the next line beyond `widest` characters.
    pub(super) const fn text(title: &'static str, widest: usize) -> Self {
        Self { title, widest, right: false }
    }

    /// A number.
    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, widest: usize::MAX, right: true }
    }
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    /// For each column its lines.
    Cells(Vec<Vec<String>>),
    /// A line across all columns, below the row that it explains.
    Note(String),
}

const GAP: &str = "  ";

/// A blank in a cell at which its line is not broken.
pub(super) const TIE: char = '\u{a0}';

/// The text with plain blanks.
pub(super) fn untied(text: &str) -> String {
    text.replace(TIE, " ")
}

impl Columns {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One cell for each column; a line end in a cell starts a new line in it.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = self.columns.iter().zip(cells);
        self.rows.push(Row::Cells(cells.map(|(c, text)| wrap(&text, c.widest)).collect()));
    }

    pub(super) fn note(&mut self, text: String) {
        self.rows.push(Row::Note(text));
    }

    /// The table, one line end after each line, no blanks before it.
    pub(super) fn render(&self) -> String {
        let title = |c: &Column| vec![c.title.to_owned()];
        let heading = Row::Cells(self.columns.iter().map(title).collect());
        let rows = || std::iter::once(&heading).chain(&self.rows);
        let mut widths = vec![0; self.columns.len()];
        for row in rows() {
            let Row::Cells(cells) = row else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                let widest = cell.iter().map(|line| line.chars().count()).max();
                *width = widest.unwrap_or(0).max(*width);
            }
        }
        let mut out = String::new();
        for row in rows() {
            match row {
                Row::Cells(cells) => self.write(cells, &widths, &mut out),
                Row::Note(text) => out.push_str(&format!("    {text}\n")),
            }
        }
        untied(&out)
    }

    fn write(&self, cells: &[Vec<String>], widths: &[usize], out: &mut String) {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for index in 0..height {
            let mut line = String::new();
            for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
                let text = cell.get(index).map_or("", String::as_str);
                let text = if column.right {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                };
                line.push_str(&text);
                line.push_str(GAP);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

fn wrap(text: &str, widest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut line = String::new();
        for word in part.split(' ') {
            let both = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && both > widest {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_end_without_blanks() {
        let mut table = Columns::new(&[
            Column::text("NAME", 12),
            Column::number("COUNT"),
            Column::text("WHERE", 12),
        ]);
        table.row(["a".into(), "1".into(), format!("here and{TIE}there")]);
        table.note("a note that is wider than everything else".into());
        table.row(["two words and more".into(), "12345678".into(), "x\nyz".into()]);
        table.row(["a-very-long-word-stays-whole".into(), "0".into(), String::new()]);
        assert_eq!(
            table.render(),
            "\
NAME                             COUNT  WHERE
a                                    1  here
                                        and there
    a note that is wider than everything else
two words                     12345678  x
and more                                yz
a-very-long-word-stays-whole         0
"
        );
    }
}
