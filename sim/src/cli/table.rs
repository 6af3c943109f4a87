//! Tables without lines: columns for a person, easy to cut for a program.

use comfy_table::{ContentArrangement, Row, Table, presets};

/// Rows below a head.
pub(crate) struct Plain {
    table: Table,
}

impl Plain {
    /// No rows yet.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(head);
        Self { table }
    }

    /// Appends a row.
    pub(crate) fn add(&mut self, row: impl Into<Row>) {
        self.table.add_row(row);
    }

    /// The table as text, without blanks at the ends of its lines.
    pub(crate) fn into_text(self) -> String {
        let text = self.table.trim_fmt();
        // Each line starts with the padding of a border that is not there.
        text.lines().flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"]).collect()
    }
}
