//! Times of work that a file lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::inputs::measurement::{Family, Fields, Mistake, Site, Work};
use crate::inputs::text::{InputError, Problem, SourceText, did_you_mean};
use crate::timing::fitted::{CardModels, Prediction};

/// Errors beyond this many are not shown.
const N_PROBLEMS_MAX: usize = 20;

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// One object a line.
    JsonLines,
    /// A table with a header.
    Csv,
}

/// One line of a list.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the line says, in its order.
    pub fields: Vec<(String, Value)>,
    /// What it means.
    pub work: Work,
}

/// A line as names and texts.
struct Texts<'a>(BTreeMap<&'a str, String>);

impl Fields for Texts<'_> {
    fn text(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }
}

/// Reads a list of work; `family` holds for lines that do not name theirs.
///
/// # Errors
///
/// A line that is neither JSON nor CSV, or all others (up to twenty) that are wrong, with their lines.
pub fn read_list(
    source: &SourceText,
    format: ListFormat,
    family: Option<Family>,
    site: &Site,
) -> Result<Vec<Asked>, InputError> {
    let lines = match format {
        ListFormat::JsonLines => json_lines(source)?,
        ListFormat::Csv => csv_lines(source)?,
    };
    let (mut asked, mut problems) = (Vec::new(), Vec::new());
    for (line, fields) in lines {
        match work_of(&fields, family, site) {
            Ok(work) => asked.push(Asked { fields, work }),
            Err((column, message)) if problems.len() < N_PROBLEMS_MAX => {
                let position = Some((line, 1));
                problems.push(Problem { position, key: column.to_owned(), message, hint: None });
            }
            Err(_) => {}
        }
    }
    if asked.is_empty() && problems.is_empty() {
        problems.push(Problem::new("", "holds no work; expected at least one line"));
    }
    if problems.is_empty() { Ok(asked) } else { Err(InputError { source: source.clone(), problems }) }
}

/// A line number and what stands there.
type Line = (u32, Vec<(String, Value)>);

fn json_lines(source: &SourceText) -> Result<Vec<Line>, InputError> {
    let mut lines = Vec::new();
    for (idx, text) in source.text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let number = u32::try_from(idx + 1).unwrap_or(u32::MAX);
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let message = format!("is no JSON object: {error}");
            let position = Some((number, u32::try_from(error.column()).unwrap_or(1).max(1)));
            let problem = Problem { position, key: String::new(), message, hint: None };
            InputError { source: source.clone(), problems: vec![problem] }
        })?;
        lines.push((number, object.into_iter().collect()));
    }
    Ok(lines)
}

fn csv_lines(source: &SourceText) -> Result<Vec<Line>, InputError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.text.as_bytes());
    let malformed = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let position = Some((u32::try_from(line).unwrap_or(u32::MAX), 1));
        let message = format!("is no CSV: {error}");
        let problem = Problem { position, key: String::new(), message, hint: None };
        InputError { source: source.clone(), problems: vec![problem] }
    };
    let header = reader.headers().map_err(malformed)?.clone();
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = record.iter().map(|cell| Value::String(cell.to_owned()));
        let fields = header.iter().map(str::to_owned).zip(cells);
        lines.push((u32::try_from(line).unwrap_or(u32::MAX), fields.collect()));
    }
    Ok(lines)
}

fn work_of(fields: &[(String, Value)], family: Option<Family>, site: &Site) -> Result<Work, Mistake> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts = Texts(fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect());
    let typed = texts.text("family");
    let family = match (Family::of_name(typed), family) {
        (Some(found), _) => found,
        (None, Some(family)) if typed.is_empty() => family,
        (None, _) => {
            let names = Family::ALL.map(Family::name);
            let guess = did_you_mean(typed, names.into_iter()).unwrap_or_default();
            let message = format!("found `{typed}`; expected one of {}; {guess}", names.join(", "));
            return Err(("family", message.trim_end_matches("; ").to_owned()));
        }
    };
    Work::read(family, &texts, &site.machine)
}

/// The line as it goes out: what came in, then what is predicted; a time that came in is called measured.
pub fn answer(asked: &Asked, prediction: Option<Prediction>) -> Map<String, Value> {
    let renamed = |(name, value): &(String, Value)| {
        let name = if name == "time_us" { "measured_us" } else { name };
        (name.to_owned(), value.clone())
    };
    let mut line: Map<String, Value> = asked.fields.iter().map(renamed).collect();
    let interval = prediction.and_then(|it| it.interval_us);
    let figure = |figure: Option<f64>| figure.map_or(Value::Null, |us| Value::from(rounded(us)));
    line.insert("time_us".to_owned(), figure(prediction.map(|it| it.time_us)));
    line.insert("time_p05_us".to_owned(), figure(interval.map(|it| it.0)));
    line.insert("time_p95_us".to_owned(), figure(interval.map(|it| it.1)));
    let provenance = prediction.map_or(Value::Null, |it| Value::from(it.provenance.name()));
    line.insert("provenance".to_owned(), provenance);
    line
}

/// Whole nanoseconds: more would claim what no model knows.
fn rounded(us: f64) -> f64 {
    libm::round(us * 1e3) / 1e3
}

/// What `models` say of each line of a list.
pub fn predict(asked: &[Asked], models: &CardModels, site: &Site) -> Vec<Option<Prediction>> {
    asked.iter().map(|it| models.predict(&it.work, site)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::measurement::Machine;

    fn site() -> Site {
        Site { card: None, machine: Machine::assumed("a100-sxm4-80gb") }
    }

    fn read(text: &str, format: ListFormat, family: Option<Family>) -> Result<Vec<Asked>, String> {
        let source = SourceText { path: "ops".to_owned(), text: text.to_owned() };
        read_list(&source, format, family, &site()).map_err(|error| error.to_string())
    }

    #[test]
    fn json_lines_and_tables_say_the_same() {
        let json = r#"{"family": "gemm", "dtype": "bf16", "m": 1, "n": 2, "k": 3, "time_us": 5.5}"#;
        let csv = "dtype,m,n,k,time_us\nbf16,1,2,3,5.5\n";
        let json = read(json, ListFormat::JsonLines, None).unwrap();
        let csv = read(csv, ListFormat::Csv, Some(Family::Gemm)).unwrap();
        assert_eq!(json[0].work, csv[0].work);
        let line = answer(&csv[0], None);
        let names: Vec<_> = line.keys().map(String::as_str).collect();
        let added = ["time_us", "time_p05_us", "time_p95_us", "provenance"];
        assert_eq!(
            names,
            ["dtype", "m", "n", "k", "measured_us"].into_iter().chain(added).collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_mistake_has_its_line() {
        let csv = "family,dtype,m,n,k\ngem,bf16,1,1,1\ngemm,bf16,0,1,1\ngemm,bf17,1,1,1\n";
        let error = read(csv, ListFormat::Csv, None).unwrap_err();
        for expected in [
            "ops:2:1: `family`: found `gem`; expected one of gemm",
            "ops:3:1: `m`: found `0`; expected a whole number from 1",
            "ops:4:1: `dtype`: found `bf17`; expected one of bf16",
        ] {
            assert!(error.contains(expected), "{expected}\n{error}");
        }
        assert!(read("", ListFormat::Csv, None).unwrap_err().contains("holds no work"));
        assert!(read("{", ListFormat::JsonLines, None).unwrap_err().contains("ops:1:1: is no JSON object"));
    }

    #[test]
    fn sizes_that_no_time_could_hold_are_refused_with_line_and_column() {
        for (family, columns) in [
            ("gemm", "dtype,m,n,k"),
            ("attention_prefill", "dtype,batch,q_len,kv_len,n_heads,n_kv_heads,head_dim"),
            ("attention_decode", "dtype,batch,kv_len,n_heads,n_kv_heads,head_dim"),
            ("elementwise", "dtype,kind,tokens,width"),
            ("moe", "dtype,distribution,top_k,n_experts,tp,ep,tokens,hidden,expert_hidden"),
        ] {
            let cell = |column: &str| match column {
                "dtype" => "bf16".to_owned(),
                "kind" => "add".to_owned(),
                "distribution" => "uniform".to_owned(),
                "top_k" | "n_experts" | "tp" | "ep" => "8".to_owned(),
                _ => (1_u64 << 40).to_string(),
            };
            let row: Vec<String> = columns.split(',').map(cell).collect();
            let csv = format!("{columns}\n{}\n", row.join(","));
            let error = read(&csv, ListFormat::Csv, Family::of_name(family)).unwrap_err();
            // Of equal sizes the last is named.
            let column = columns.rsplit(',').next().unwrap();
            let expected =
                format!("ops:2:1: `{column}`: found 1099511627776; with the other sizes of the line");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
