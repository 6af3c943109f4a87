//! Requests that somebody recorded, and the contexts that they have while they decode.

use std::collections::BTreeMap;

use super::file::TraceFile;
use crate::inputs::text::{InputError, Problem, SourceText, did_you_mean};

/// Prompt and output together; the longest context that a file may give.
const TOKENS_MAX: u32 = 1 << 24;

/// Problems beyond this many are not shown.
const N_PROBLEMS_MAX: usize = 20;

/// Prompts and outputs of requests, as a server sees them that decodes them all at once.
///
/// A request with an output of n tokens decodes for n - 1 steps, since its prompt gives the first. It is found in a batch in
/// proportion to them, in each of them equally likely; before the n-th of them its cache holds the prompt and n - 1 tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTrace {
    prompt_lens: Vec<u32>,
    /// Decode steps of all requests before the one at each position; one longer than the requests.
    steps_before: Vec<u64>,
}

impl RequestTrace {
    /// A trace of (prompt, output) in tokens; none where no request decodes.
    pub fn new(requests: &[(u32, u32)]) -> Option<Self> {
        let prompt_lens = requests.iter().map(|(prompt, _)| *prompt).collect();
        let mut steps_before = vec![0];
        let mut sum = 0;
        for (_, output) in requests {
            sum += u64::from(output.saturating_sub(1));
            steps_before.push(sum);
        }
        (sum > 0).then_some(Self { prompt_lens, steps_before })
    }

    /// Decode steps of all requests.
    pub fn n_steps(&self) -> u64 {
        *self.steps_before.last().expect("one longer than the requests")
    }

    /// Tokens in the cache before decode step `step` of all of them, request after request.
    ///
    /// # Panics
    ///
    /// When there are not so many steps.
    pub fn context_at(&self, step: u64) -> u32 {
        let request = self.steps_before.partition_point(|&before| before <= step) - 1;
        let age =
            u32::try_from(step - self.steps_before[request]).expect("an output has less than 2^32 tokens");
        self.prompt_lens[request] + age
    }

    /// The longest context of all.
    pub fn longest(&self) -> u32 {
        let decodes = self.steps_before.windows(2).filter(|pair| pair[0] < pair[1]);
        decodes.map(|pair| self.context_at(pair[1] - 1)).max().expect("a request decodes")
    }
}

/// Reads the table of requests in `source`: comma-separated with a header, or one JSON object a line.
///
/// # Errors
///
/// All mistakes with their lines, up to twenty.
pub(super) fn read_trace(source: &SourceText, columns: &TraceFile) -> Result<RequestTrace, InputError> {
    let mut table =
        Table { columns: [&columns.prompt, &columns.output], requests: Vec::new(), problems: Vec::new() };
    // Some editors begin a file with a byte order mark.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    if text.trim_start().starts_with('{') {
        table.read_json_lines(text);
    } else {
        table.read_csv(text);
    }
    if table.problems.is_empty() && table.requests.is_empty() {
        table.wrong(1, "there is no request; expected one on each line");
    }
    if !table.problems.is_empty() {
        table.problems.truncate(N_PROBLEMS_MAX);
        return Err(InputError::new(source, table.problems));
    }
    RequestTrace::new(&table.requests).ok_or_else(|| {
        let message = format!("no request has 2 tokens in `{}`, so that none decodes", columns.output);
        InputError::new(source, vec![at(1, message)])
    })
}

struct Table<'a> {
    /// Names of prompt and output.
    columns: [&'a str; 2],
    requests: Vec<(u32, u32)>,
    problems: Vec<Problem>,
}

impl Table<'_> {
    fn read_csv(&mut self, text: &str) {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return self.wrong(1, &error.to_string()),
        };
        let [prompt, output] = self.columns.map(|name| header.iter().position(|found| found == name));
        let (Some(prompt), Some(output)) = (prompt, output) else {
            let names: Vec<&str> = header.iter().collect();
            return self.lacks_columns(1, &names);
        };
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    self.request(line, [prompt, output].map(|at| record[at].to_owned()));
                }
                Err(error) => {
                    let line = error.position().map_or(1, csv::Position::line);
                    self.wrong(line, "the row has another number of cells than the header");
                }
            }
        }
    }

    fn read_json_lines(&mut self, text: &str) {
        for (line, row) in (1..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty()) {
            if self.problems.len() >= N_PROBLEMS_MAX {
                return;
            }
            let cells: BTreeMap<String, serde_json::Value> = match serde_json::from_str(row) {
                Ok(cells) => cells,
                Err(error) => {
                    self.wrong(line, &format!("is no JSON object: {error}"));
                    continue;
                }
            };
            let [prompt, output] = self.columns.map(|name| cells.get(name).map(ToString::to_string));
            let (Some(prompt), Some(output)) = (prompt, output) else {
                let names: Vec<&str> = cells.keys().map(String::as_str).collect();
                self.lacks_columns(line, &names);
                continue;
            };
            self.request(line, [prompt, output]);
        }
    }

    fn request(&mut self, line: u64, cells: [String; 2]) {
        let mut tokens = [0; 2];
        for ((name, cell), tokens) in self.columns.into_iter().zip(cells).zip(&mut tokens) {
            match cell.parse::<u32>() {
                Ok(n) if (1..=TOKENS_MAX).contains(&n) => *tokens = n,
                _ => {
                    let message =
                        format!("`{name}` is `{cell}`; expected a whole number from 1 to {TOKENS_MAX}");
                    return self.wrong(line, &message);
                }
            }
        }
        let [prompt, output] = tokens;
        if prompt + output > TOKENS_MAX {
            return self.wrong(
                line,
                &format!("{prompt} and {output} tokens; expected at most {TOKENS_MAX} together"),
            );
        }
        self.requests.push((prompt, output));
    }

    fn lacks_columns(&mut self, line: u64, names: &[&str]) {
        for name in self.columns.into_iter().filter(|name| !names.contains(name)) {
            let message = format!("there is no column `{name}`; there are {}", names.join(", "));
            let hint = did_you_mean(name, names.iter().copied());
            let what_to_do = "name the columns: context_len: { kind: trace, path, prompt: ..., output: ... }";
            self.problems.push(Problem {
                hint: Some(hint.unwrap_or_else(|| what_to_do.to_owned())),
                ..at(line, message)
            });
        }
    }

    fn wrong(&mut self, line: u64, message: &str) {
        self.problems.push(at(line, message));
    }
}

fn at(line: u64, message: impl std::fmt::Display) -> Problem {
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    Problem { position: Some((line, 1)), ..Problem::new("", message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequestTrace, String> {
        let source = SourceText { path: "t.csv".to_owned(), text: text.to_owned() };
        let columns =
            TraceFile { path: "t.csv".to_owned(), prompt: "prompt".to_owned(), output: "output".to_owned() };
        read_trace(&source, &columns).map_err(|error| error.to_string())
    }

    /// 10 + 0, 1, 2 of the first request, none of the second, 7 of the third.
    #[test]
    fn a_request_is_seen_once_for_each_token_that_it_decodes() {
        let trace = read("x,prompt,output\n0,10,4\n0,500,1\n0,7,2\n").unwrap();
        let all: Vec<u32> = (0..trace.n_steps()).map(|step| trace.context_at(step)).collect();
        assert_eq!(all, [10, 11, 12, 7]);
        assert_eq!(trace.longest(), 12);
        let lines = "{\"output\": 4, \"prompt\": 10, \"ids\": [1, 2]}\n{\"prompt\": 7, \"output\": 2}\n";
        assert_eq!(read(lines).unwrap().n_steps(), 4);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_table() {
        for text in ["prompt,output\n10,4\n", "{\"prompt\": 10, \"output\": 4}\n"] {
            assert_eq!(read(&format!("\u{feff}{text}")).map(|trace| trace.n_steps()), Ok(3));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let whole = "expected a whole number from 1 to 16777216";
        for (text, expected) in [
            (
                "prompt,output\n5,2\nNaN,2\n5,-1\n",
                format!("t.csv:3:1: `prompt` is `NaN`; {whole}\nt.csv:4:1: `output` is `-1`; {whole}"),
            ),
            (
                "prompt,output\n5,2\n5\n",
                "t.csv:3:1: the row has another number of cells than the header".to_owned(),
            ),
            ("prompt,output\n", "t.csv:1:1: there is no request; expected one on each line".to_owned()),
            (
                "prompt,output\n5,1\n",
                "t.csv:1:1: no request has 2 tokens in `output`, so that none decodes".to_owned(),
            ),
            ("prompt,out\n5,2\n", "t.csv:1:1: there is no column `output`; there are prompt, out".to_owned()),
            (
                "{\"prompt\": 5, \"output\": 2}\n{\"prompt\": \"x\", \"output\": 2}\n",
                format!("t.csv:2:1: `prompt` is `\"x\"`; {whole}"),
            ),
            (
                "{\"prompt\": 5, \"output\": 2}\n{\"prompt\": 5}\n\n{\"output\": 2}\n",
                "t.csv:2:1: there is no column `output`; there are prompt\n\
                 t.csv:4:1: there is no column `prompt`; there are output"
                    .to_owned(),
            ),
            (
                "prompt,output\n16777216,2\n",
                "t.csv:2:1: 16777216 and 2 tokens; expected at most 16777216 together".to_owned(),
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        assert!(read("").unwrap_err().contains("no column"));
        assert!(read("{\"prompt\": 5\n").unwrap_err().starts_with("t.csv:1:1: is no JSON object"));
    }
}
