//! `results.json`: the rows with everything that does not fit into a table.

use serde::{Deserialize, Serialize};

use masim_core::judging::sweep::{Row, RowJson};

/// The version that this program writes; it reads this one and the one before.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Serialize, Deserialize)]
struct ResultsJson {
    schema: u32,
    rows: Vec<RowJson>,
}

/// Why a text is not a file of results.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// Not JSON, or not of this shape.
    #[error("not a results file: {0}; expected {{\"schema\": {SCHEMA}, \"rows\": [...]}}")]
    Shape(#[from] serde_json::Error),
    /// From another time.
    #[error("`schema` is {found}; expected {SCHEMA}")]
    Schema {
        /// What the file says.
        found: u32,
    },
}

/// The rows as JSON, one row a line.
pub fn json(rows: &[Row]) -> String {
    let whole = ResultsJson { schema: SCHEMA, rows: rows.iter().map(RowJson::from).collect() };
    let mut text = serde_json::to_string(&whole).expect("a row has text keys and finite numbers");
    text = text.replace("{\"row_idx\":", "\n{\"row_idx\":");
    text.push('\n');
    text
}

/// The columns of the rows of a file that [`json`] wrote.
///
/// # Errors
///
/// [`ResultsError::Shape`] or [`ResultsError::Schema`].
pub fn rows_from_json(text: &str) -> Result<Vec<RowJson>, ResultsError> {
    let whole: ResultsJson = serde_json::from_str(text)?;
    if whole.schema != SCHEMA {
        return Err(ResultsError::Schema { found: whole.schema });
    }
    Ok(whole.rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, sweep_rows};

    #[test]
    fn rows_read_back_as_they_were() {
        let mut rows = sweep_rows();
        rows[3].outcome.as_mut().unwrap().tpot_us = Some(0.1 + 0.2);
        rows[3].axes.insert("cluster.scale_out.bandwidth".to_owned(), "x1.1".to_owned());
        let written: Vec<_> = rows.iter().map(RowJson::from).collect();
        assert_eq!(rows_from_json(&json(&rows)).unwrap(), written);
    }

    #[test]
    fn another_schema_is_refused() {
        let text = json(&[hand_made(0, "12:4", 1.0)]).replace("\"schema\":1", "\"schema\":7");
        assert_eq!(rows_from_json(&text).unwrap_err().to_string(), "`schema` is 7; expected 1");
        assert!(rows_from_json("[]").unwrap_err().to_string().starts_with("not a results file: "));
    }
}
