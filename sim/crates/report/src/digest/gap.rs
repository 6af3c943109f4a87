//! Why one row is slower than another: kernels that take longer, or GPUs that wait.

use masim_core::judging::sweep::{GpuAccountJson, Row};

/// Causes of waiting of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The other pool or another stage.
    Dependency,
    /// Data on its way.
    Wire,
    /// A slower peer of the same pool.
    Imbalance,
}

impl Cause {
    /// Name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Wire => "wire",
            Self::Imbalance => "imbalance",
        }
    }

    /// Name in a narrow cell.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Dependency => "other pool",
            Self::Wire => "wire",
            Self::Imbalance => "peers",
        }
    }
}

/// Mean account of all GPUs of a row in a steady step, as shares of its TPOT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Waits {
    /// Share of the time of all GPUs in which no compute kernel runs.
    pub(crate) idle: f64,
    /// Cause of most of the waiting.
    pub(crate) cause: Cause,
    /// The share of that cause alone.
    pub(crate) share: f64,
}

/// The difference of two times per token, over the second: its two parts add up to the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gap {
    /// From the time in which kernels run.
    pub(crate) busy: f64,
    /// From the time in which none does.
    pub(crate) idle: f64,
}

fn mean(row: &Row) -> Option<[f64; 5]> {
    let mut sum = [0.0; 5];
    for gpu in row.gpus() {
        for (sum, part) in sum.iter_mut().zip(GpuAccountJson::parts(&gpu.steady)) {
            *sum += part;
        }
    }
    let n = row.gpus().len();
    (n > 0).then(|| sum.map(|part| part / n as f64))
}

/// Waiting of the GPUs of `row`, and its main cause.
pub(crate) fn waits(row: &Row) -> Option<Waits> {
    let (tpot, [_, imbalance, dependency, wire, _]) = (row.answer_us()?, mean(row)?);
    let causes = [(Cause::Dependency, dependency), (Cause::Wire, wire), (Cause::Imbalance, imbalance)];
    let (cause, most) = causes.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(Waits { idle: (imbalance + dependency + wire) / tpot, cause, share: most / tpot })
}

/// Why `row` takes longer (or less) than `base`.
pub(crate) fn gap(row: &Row, base: &Row) -> Option<Gap> {
    let (own, other, tpot) = (mean(row)?, mean(base)?, base.answer_us()?);
    let busy = (own[0] - other[0]) / tpot;
    Some(Gap { busy, idle: (row.answer_us()? - tpot) / tpot - busy })
}

/// The kinds of work that take most of the critical path of `row`, with their shares of it.
pub(crate) fn longest_work(row: &Row, n: usize) -> Vec<(&str, f64)> {
    let path = row.figures().map_or(&[][..], |figures| &figures.critical_path);
    let total: f64 = path.iter().map(|(_, time_us)| time_us).sum();
    let mut steps: Vec<_> = path.iter().map(|(work, time_us)| (work.as_str(), time_us / total)).collect();
    steps.sort_by(|a, b| b.1.total_cmp(&a.1));
    steps.truncate(n);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::sweep_rows;

    #[test]
    fn the_parts_of_a_gap_add_up_to_the_margin() {
        let rows = sweep_rows();
        let (split, base) = (&rows[4], &rows[62]);
        let gap = gap(split, base).unwrap();
        let margin = split.answer_us().unwrap() / base.answer_us().unwrap() - 1.0;
        assert!((gap.busy + gap.idle - margin).abs() < 1e-12);
        let waits = waits(split).unwrap();
        assert!(waits.share <= waits.idle && waits.idle < 1.0);
        let works: Vec<_> = longest_work(split, 2).into_iter().map(|(work, _)| work).collect();
        assert_eq!(works, ["attention", "experts"]);
    }
}
