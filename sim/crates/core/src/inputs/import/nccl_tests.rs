//! Logs of nccl-tests: `all_reduce_perf` and its siblings.
//!
//! A log is what the programs print: a line with the parameters, a line for each rank, two lines of column names, and a row
//! for each size with the times out of place and in place. Several runs may follow one another in a log, and whatever
//! else is printed between them is passed over.
//!
//! # Source
//!
//! The programs of github.com/NVIDIA/nccl-tests, versions 2.0 to 2.18.

use std::collections::BTreeSet;

use super::{Imported, work_of, wrong};
use crate::inputs::measurement::{Family, Machine, Mistake, Operation};
use crate::inputs::text::{InputError, SourceText};

/// Which of the two times of a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// From one buffer into another.
    OutOfPlace,
    /// Within one buffer.
    InPlace,
}

/// Facts that a log does not state.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Operation, for logs that do not name the program.
    pub operation: Option<Operation>,
    /// Which time counts.
    pub buffers: Buffers,
}

/// Facts known of the run whose rows are being read.
#[derive(Default)]
struct Run {
    operation: Option<Operation>,
    /// A program that measures nothing that sets hold.
    foreign: Option<String>,
    n_local: u32,
    ranks: Vec<String>,
    hosts: BTreeSet<String>,
    groups: BTreeSet<String>,
    columns: Vec<String>,
}

/// The rows of a log.
///
/// # Errors
///
/// A row that cannot be read, or of which the log does not say what was done and by how many GPUs, with its line.
pub fn import(source: &SourceText, options: Options, machine: &Machine) -> Result<Imported, InputError> {
    let (mut imported, mut run) = (Imported::default(), Run::default());
    for (at, line) in source.text.lines().enumerate() {
        let number = at as u64 + 1;
        // Launchers that mark lines with their rank put it in front.
        let text = line.trim();
        if let Some(comment) = text.strip_prefix('#') {
            run.comment(comment.trim(), &mut imported);
        } else if let Some(program) = program_in(text) {
            run.start(program);
        } else if !run.columns.is_empty() && text.starts_with(|first: char| first.is_ascii_digit()) {
            let cells: Vec<_> = text.split_whitespace().collect();
            run.row(&cells, options, machine, &mut imported)
                .map_err(|(column, message)| wrong(source, number, column, message))?;
        }
    }
    if imported.rows.is_empty() && imported.left_out.is_empty() {
        let message = "holds no row of nccl-tests; expected a table that begins `# size count type`";
        return Err(wrong(source, 1, "", message.to_owned()));
    }
    Ok(imported)
}

/// The program that a line names: `./build/all_reduce_perf -b 8`.
fn program_in(line: &str) -> Option<&str> {
    let name = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut names = name.filter_map(|word| word.trim_end_matches("_mpi").strip_suffix("_perf"));
    names.next()
}

fn operation_of(program: &str) -> Option<Operation> {
    match program {
        "alltoall" => Some(Operation::AllToAll),
        _ => Operation::ALL.into_iter().find(|operation| operation.name() == program),
    }
}

impl Run {
    fn start(&mut self, program: &str) {
        self.operation = operation_of(program);
        self.foreign = self.operation.is_none().then(|| program.to_owned());
    }

    fn comment(&mut self, text: &str, imported: &mut Imported) {
        let words: Vec<_> = text.split_whitespace().collect();
        match words.as_slice() {
            ["nccl-tests", "version", ..] => {
                let code = words.iter().find_map(|word| word.strip_prefix("nccl-library="));
                let version = code.and_then(|code| code.parse().ok()).map(nccl_version);
                imported.stack = imported.stack.take().or(version);
            }
            ["Collective", "test", "starting:", name, ..] => {
                if let Some(program) = program_in(name) {
                    self.start(program);
                }
            }
            ["nThread", n_threads, "nGpus", n_gpus, ..] => {
                // Parameters begin a run; the program's name may stand before them.
                let (operation, foreign) = (self.operation, self.foreign.take());
                let counts = [n_threads, n_gpus].map(|count| count.parse::<u32>().unwrap_or(0));
                let n_local = counts[0].saturating_mul(counts[1]);
                *self = Self { operation, foreign, n_local, ..Self::default() };
            }
            ["Rank", rank, rest @ ..] => {
                let after = |word: &str| {
                    let at = rest.iter().position(|found| *found == word)?;
                    rest.get(at + 1).map(|found| (*found).to_owned())
                };
                self.ranks.push((*rank).to_owned());
                self.hosts.extend(after("on"));
                self.groups.extend(after("Group"));
            }
            ["size", "count", ..] => self.columns = words.iter().map(|word| (*word).to_owned()).collect(),
            _ => {}
        }
    }

    fn row(
        &self,
        cells: &[&str],
        options: Options,
        machine: &Machine,
        imported: &mut Imported,
    ) -> Result<(), Mistake> {
        if let (Some(program), None) = (&self.foreign, options.operation) {
            imported.leave_out(&format!("{program}_perf measures no collective that sets hold"));
            return Ok(());
        }
        let (n_gpus, n_nodes) = self.size()?;
        let operation = options.operation.or(self.operation).ok_or_else(|| {
            let message = "nothing above names the program, such as all_reduce_perf; say --kind".to_owned();
            ("kind", message)
        })?;
        let bytes = *cells.first().ok_or_else(|| ("size", "found nothing; expected bytes".to_owned()))?;
        if bytes == "0" {
            imported.leave_out("rows of 0 bytes: fewer elements than GPUs");
            return Ok(());
        }
        let Some(time_us) = self.time_us(cells, options.buffers)? else {
            imported.leave_out("rows with wrong results (#wrong above 0)");
            return Ok(());
        };
        let fields = [
            ("kind", operation.name().to_owned()),
            ("bytes", bytes.to_owned()),
            ("n_gpus", n_gpus.to_string()),
            ("n_nodes", n_nodes.to_string()),
        ];
        imported.rows.push((work_of(Family::Collective, &fields, machine)?, time_us));
        Ok(())
    }

    /// GPUs and nodes of the run.
    fn size(&self) -> Result<(u32, u32), Mistake> {
        let distinct: BTreeSet<_> = self.ranks.iter().collect();
        if distinct.len() < self.ranks.len() {
            let message = "several ranks have one number: nccl-tests were built without MPI, and ran apart";
            return Err(("Rank", message.to_owned()));
        }
        if self.groups.len() > 1 {
            return Err((
                "Group",
                "several groups ran at once; expected one collective at a time".to_owned(),
            ));
        }
        let n_ranks = u32::try_from(self.ranks.len()).unwrap_or(u32::MAX);
        let n_gpus = if n_ranks > 0 { n_ranks } else { self.n_local };
        if n_gpus == 0 {
            let message = "nothing above says how many GPUs took part; expected a line `# nThread 1 nGpus 8`";
            return Err(("n_gpus", message.to_owned()));
        }
        Ok((n_gpus, u32::try_from(self.hosts.len().max(1)).unwrap_or(u32::MAX)))
    }

    /// The time of a row, the first or second column `time`; none where the results were wrong.
    ///
    /// Columns are counted from the right, as operations without a sum leave cells empty.
    fn time_us(&self, cells: &[&str], buffers: Buffers) -> Result<Option<f64>, Mistake> {
        let is_time = |name: &String| name == "time" || name == "cputime";
        let mut times = (0..self.columns.len()).filter(|&at| is_time(&self.columns[at]));
        let (first, second) = (times.next(), times.next());
        let at = match buffers {
            Buffers::OutOfPlace => first,
            Buffers::InPlace => second,
        };
        let at = at.ok_or_else(|| ("time", "the table has no such column".to_owned()))?;
        let missing = self.columns.len() - at;
        let Some(at) = cells.len().checked_sub(missing) else {
            let (found, expected) = (cells.len(), self.columns.len());
            return Err(("size", format!("found {found} cells; expected {expected}")));
        };
        let wrong = cells.get(at + 3).and_then(|cell| cell.parse::<f64>().ok()).unwrap_or(0.0);
        if self.columns.iter().any(|name| name == "#wrong") && wrong > 0.0 {
            return Ok(None);
        }
        let time = cells[at].parse::<f64>().ok().filter(|time| time.is_finite() && *time > 0.0);
        let found =
            time.ok_or_else(|| ("time", format!("found `{}`; expected microseconds above 0", cells[at])));
        found.map(Some)
    }
}

/// `22807` is NCCL 2.28.7; before 2.9 the code has a digit less.
fn nccl_version(code: u32) -> String {
    let (major, minor, patch) = if code >= 10_000 {
        (code / 10_000, code / 100 % 100, code % 100)
    } else {
        (code / 1000, code / 100 % 10, code % 100)
    };
    format!("NCCL {major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT_OF_PLACE: Options = Options { operation: None, buffers: Buffers::OutOfPlace };

    fn read(text: &str, options: Options) -> Result<Imported, String> {
        let source = SourceText { path: "a.log".to_owned(), text: text.to_owned() };
        import(&source, options, &Machine::assumed("a100-sxm4-80gb")).map_err(|error| error.to_string())
    }

    /// Made up, in the form of version 2.18.
    const LOG: &str = "\
mpirun: some talk
# nccl-tests version 2.18.3 nccl-headers=23003 nccl-library=22807
# Collective test starting: all_gather_perf
# nThread 1 nGpus 1 minBytes 0 maxBytes 2048 step: 2(factor) warmup iters: 1 iters: 20 agg iters: 1 validation: 1 graph: 0
#
# Using devices
#  Rank  0 Group  0 Pid  11 on    node-a device  0 [0000:07:00] NVIDIA A100-SXM4-80GB
#  Rank  1 Group  0 Pid  12 on    node-b device  0 [0000:07:00] NVIDIA A100-SXM4-80GB
node-a:11:11 [0] NCCL INFO Bootstrap : Using eth0
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           0             0     float    none      -1     5.00    0.00    0.00      0     5.10    0.00    0.00      0
        1024           128     float    none      -1    10.50    0.10    0.05      0    9.25    0.11    0.06    N/A
        2048           256     float    none      -1    1.2e+02  0.10    0.05      0    11.00    0.11    0.06    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 0.05
";

    #[test]
    fn a_log_becomes_rows() {
        let imported = read(LOG, OUT_OF_PLACE).unwrap();
        let times: Vec<_> = imported.rows.iter().map(|row| row.1).collect();
        assert_eq!(times, [10.5, 120.0]);
        let text = format!("{:?}", imported.rows[0].0);
        assert!(text.contains("AllGather, bytes: 1024, n_gpus: 2, n_nodes: 2"), "{text}");
        assert_eq!(imported.stack.as_deref(), Some("NCCL 2.28.7"));
        assert_eq!(imported.left_out.values().sum::<u64>(), 1);
        let in_place = read(LOG, Options { buffers: Buffers::InPlace, ..OUT_OF_PLACE }).unwrap();
        assert!((in_place.rows[1].1 - 11.0).abs() < 1e-9);
    }

    /// Before 2.10 there were fewer columns, and no line with the program: the command above it says what ran.
    #[test]
    fn older_logs_are_read_by_their_column_names() {
        let log = "\
$ ./build/all_reduce_perf -b 8 -e 8 -g 8
# nThread 1 nGpus 8 minBytes 8 maxBytes 8 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error
           8             2   float     sum    38.60    0.00    0.00  1e-07    40.10    0.00    0.00  1e-07
";
        let imported = read(log, OUT_OF_PLACE).unwrap();
        assert!((imported.rows[0].1 - 38.6).abs() < 1e-9);
        assert!(format!("{:?}", imported.rows[0].0).contains("AllReduce, bytes: 8, n_gpus: 8, n_nodes: 1"));
        let nameless = log.lines().skip(1).collect::<Vec<_>>().join("\n");
        assert!(read(&nameless, OUT_OF_PLACE).unwrap_err().contains("a.log:3:1: `kind`"));
        let told = Options { operation: Some(Operation::Broadcast), ..OUT_OF_PLACE };
        assert_eq!(read(&nameless, told).unwrap().rows.len(), 1);
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_its_line() {
        let twice = LOG.replace("Rank  1", "Rank  0");
        let error = read(&twice, OUT_OF_PLACE).unwrap_err();
        assert!(error.contains("a.log:14:1") && error.contains("without MPI"), "{error}");
        let broken = LOG.replace("10.50", "fast");
        assert!(read(&broken, OUT_OF_PLACE).unwrap_err().contains("found `fast`"));
        assert!(read("hello\n", OUT_OF_PLACE).unwrap_err().contains("holds no row"));
        let foreign = LOG.replace("all_gather", "sendrecv");
        assert!(read(&foreign, OUT_OF_PLACE).unwrap().rows.is_empty());
    }
}
