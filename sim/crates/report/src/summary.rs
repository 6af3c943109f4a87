//! Text for a terminal: the verdict and the best of each point, or the account of one row.

use comfy_table::{CellAlignment, Table, presets};

use super::digest::{accounts, contrasts, memories};
use super::number::{NONE, is_split, label, ms, or_dash, pct, sig, signed_pct};
use super::space::{Baseline, Space};
use super::verdict::{Duel, Outcome, Verdict, is_fair_baseline};
use masim_core::judging::sweep::{Failure, Figures, Row, steady_in_words};
use masim_core::scenario::{PAPER_OVERLAP, Workload};

/// Style of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// Columns apart by spaces, ASCII alone: for pipes.
    Plain,
    /// With lines: for terminals.
    Lines,
}

impl Dress {
    fn table(self, head: &[&str]) -> Table {
        let mut table = Table::new();
        let preset = match self {
            Self::Plain => presets::NOTHING,
            Self::Lines => presets::UTF8_HORIZONTAL_ONLY,
        };
        table.load_style(preset).set_header(head.iter().copied());
        table
    }

    /// A text in the letters that this dress allows.
    fn text(self, text: &str) -> String {
        match self {
            Self::Lines => text.to_owned(),
            Self::Plain => {
                let ascii = text.replace('\u{2212}', "-").replace('\u{d7}', "x");
                ascii.replace('\u{b1}', "").replace(NONE, "-")
            }
        }
    }

    fn finish(self, mut table: Table, n_left: usize) -> String {
        for (idx, column) in table.column_iter_mut().enumerate() {
            column.set_cell_alignment(if idx < n_left { CellAlignment::Left } else { CellAlignment::Right });
        }
        let lines = table.to_string();
        let lines: Vec<_> = self.text(&lines).lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

/// The verdict, then one line for each point: best split, best fair baseline, margin.
pub fn sweep(rows: &[Row], dress: Dress) -> String {
    let space = Space::new(rows);
    let verdict = Verdict::new(&space);
    let titles: Vec<&str> = space.dims.iter().map(|dim| dim.title.as_str()).collect();
    let time = space.answer.title();
    let rest = ["best split", time, "best baseline", time, "split vs baseline", "winner"];
    let head: Vec<&str> = ["point"].into_iter().chain(titles).chain(rest).collect();
    let mut table = dress.table(&head);
    for (point, duel) in space.points.iter().zip(&verdict.duels) {
        let values = space.dims.iter().zip(&duel.at).map(|(dim, &at)| dim.values[at].clone());
        let cells = [point.idx.to_string()].into_iter().chain(values).chain(duel_cells(duel));
        table.add_row(cells.collect::<Vec<_>>());
    }
    let never = verdict.never(&space).map(|text| format!(" {text}")).unwrap_or_default();
    let sentence = dress.text(&format!("{}{never}", verdict.sentence()));
    let contrasts = dress.text(&against_each(&space));
    format!("{}\n\n{contrasts}{sentence}\n", dress.finish(table, 0))
}

/// One line for each baseline: how the best split fares against it alone. Empty where there is one only.
fn against_each(space: &Space<'_>) -> String {
    let rows = contrasts(space);
    let best = rows.first().filter(|row| row.ratio.is_none() && space.baselines.len() > 1);
    let Some(best) = best else { return String::new() };
    let lines = space.baselines.iter().zip(&best.against).filter_map(|(Baseline { name, .. }, contrast)| {
        let (n, faster, tied) = (contrast.margins.len(), contrast.n_faster, contrast.n_tied);
        let median = signed_pct(contrast.median()?);
        Some(format!(
            "best split against {name}: faster at {faster} of {n}, ties at {tied}, median {median}\n"
        ))
    });
    lines.collect::<String>() + "\n"
}

fn duel_cells(duel: &Duel<'_>) -> [String; 6] {
    let name = |row: Option<&Row>| row.map_or_else(|| NONE.to_owned(), label);
    let time = |row: Option<&Row>| or_dash(row.and_then(Row::answer_us), ms);
    let winner = match duel.outcome {
        Outcome::Split => "split".to_owned(),
        Outcome::Tie => "tie".to_owned(),
        Outcome::Baseline => name(duel.baseline),
        Outcome::NoBaseline | Outcome::NoSplit => format!("{} (alone)", name(duel.winner())),
        Outcome::Neither => "nothing runs".to_owned(),
    };
    let winner = if duel.is_doubtful { format!("{winner}?") } else { winner };
    let margin = or_dash(duel.margin, signed_pct);
    [name(duel.split), time(duel.split), name(duel.baseline), time(duel.baseline), margin, winner]
}

/// The figures of one row, then the account and the memory of each role.
pub fn run(row: &Row, dress: Dress) -> String {
    let figures = match &row.outcome {
        Ok(figures) => figures,
        Err(Failure { error, .. }) => return dress.text(&format!("{}: {error}\n", label(row))),
    };
    let mut table = dress.table(&["quantity", "value", "unit"]);
    for (what, value, unit) in lines(row, figures) {
        if let Some(value) = value {
            table.add_row([what.to_owned(), value, unit.to_owned()]);
        }
    }
    let mut parts = vec![dress.text(&title(row)), dress.finish(table, 1)];
    if !figures.gpus.is_empty() {
        parts.push(account_table(row, dress));
    }
    if !figures.critical_path.is_empty() {
        let mut table = dress.table(&["critical path", "time, us"]);
        for (work, time_us) in &figures.critical_path {
            table.add_row([work.clone(), sig(*time_us)]);
        }
        parts.push(dress.finish(table, 1));
    }
    parts.extend(row.warnings.iter().map(|warning| format!("warning: {warning}")));
    parts.join("\n\n") + "\n"
}

fn title(row: &Row) -> String {
    let Some(asked) = &row.asked else { return label(row) };
    let kind = if is_split(row) || !is_fair_baseline(row) { asked.strategy.kind() } else { "baseline" };
    format!(
        "{} ({kind}): {}, {} on {}, batch {}, context {}, expert load {}",
        label(row),
        asked.workload.phase(),
        asked.model,
        asked.cluster,
        asked.workload.batch(),
        sig(asked.context_len),
        asked.load
    )
}

fn lines(row: &Row, figures: &Figures) -> Vec<(&'static str, Option<String>, &'static str)> {
    let us = |value: f64| Some(ms(value));
    let share = |value: f64| Some(pct(value));
    let plain = |value: f64| Some(sig(value));
    let between = |(low, high): (f64, f64), of: fn(f64) -> String| format!("{} to {}", of(low), of(high));
    // The longer a step, the fewer tokens.
    let rates = figures.tpot_interval_us.zip(figures.tpot_us);
    let rate = figures.tokens_per_sec;
    let rates = rates.map(|((low, high), tpot)| (rate * tpot / high, rate * tpot / low));
    let (form, bound) = match figures.tpot_us {
        Some(_) => ("closed form of TPOT", "work bound of TPOT"),
        None => ("closed form", "work bound"),
    };
    let steps = figures.tpot_step_us.filter(|(low, high)| low < high);
    let is_whole =
        row.asked.as_ref().is_some_and(|asked| matches!(asked.workload, Workload::Inference { .. }));
    let tpot = if is_whole { "TPOT at the mean context" } else { "TPOT (steady)" };
    vec![
        ("prompts (TTFT)", figures.ttft_us.and_then(us), "ms"),
        (tpot, figures.tpot_us.and_then(us), "ms"),
        ("  90 % between", figures.tpot_interval_us.map(|ends| between(ends, ms)), "ms"),
        ("  90 % of steps in", steps.map(|ends| between(ends, ms)), "ms"),
        ("whole requests", figures.makespan_us.filter(|_| is_whole).and_then(us), "ms"),
        ("step time (cold)", us(figures.step_time_us), "ms"),
        (form, us(figures.closed_form_us), "ms"),
        (bound, us(figures.work_bound_us), "ms"),
        ("throughput", plain(rate), "tokens/s"),
        ("  90 % between", rates.map(|ends| between(ends, sig)), "tokens/s"),
        ("throughput per GPU", plain(figures.tokens_per_sec_per_gpu), "tokens/s"),
        ("busy", share(figures.busy_share), "of time"),
        ("waiting for hosts", figures.host_us.filter(|us| *us > 0.0).and_then(us), "ms per step"),
        ("resident", share(figures.resident_share), "of time"),
        ("MFU", share(figures.mfu), "of peak"),
        ("MBU", share(figures.mbu), "of memory bandwidth"),
        ("communication", us(figures.comm_us), "ms per step"),
        ("  beside computation", figures.comm_overlap.map(overlap), "of it"),
        ("exposed communication", us(figures.comm_exposed_us), "ms per step"),
        ("idle, mean over GPUs", us(figures.wait_mean_us), "ms per step"),
        ("power, mean over GPUs", plain(figures.power_mean_w), "W"),
        ("energy per output token", plain(figures.energy_per_token_j), "J"),
        ("fullest GPU", figures.memory_max_gib.and_then(plain), "GiB"),
        ("measured steps", Some(figures.n_steps.to_string()), ""),
        ("provenance", Some(figures.provenance.name().to_owned()), ""),
        ("steady state", Some(steady_in_words(figures.steady, figures.n_steps)), ""),
    ]
}

/// Achieved overlap beside the paper's assumption.
fn overlap(share: f64) -> String {
    format!("{} (the paper assumes {})", pct(share), pct(PAPER_OVERLAP))
}

fn account_table(row: &Row, dress: Dress) -> String {
    let head = [
        "role (steady step, mean)",
        "GPUs",
        "busy, ms",
        "imbalance, ms",
        "dependency, ms",
        "wire, ms",
        "fill and drain, ms",
        "fullest, GiB",
    ];
    let mut table = dress.table(&head);
    for (account, memory) in accounts(row).iter().zip(memories(row)) {
        let times = account.steady.parts().map(ms);
        let cells = [account.role.clone(), account.n_gpus.to_string()].into_iter().chain(times);
        table.add_row(cells.chain([sig(memory.holds.total())]).collect::<Vec<_>>());
    }
    dress.finish(table, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, not_fitting, prompts, sweep_rows};

    #[test]
    fn a_sweep_prints_a_line_for_each_point_and_the_verdict_last() {
        let rows = [hand_made(0, "12:4", 900.0), hand_made(0, "dp_ep", 1000.0), not_fitting(1, "12:4")];
        let text = sweep(&rows, Dress::Plain);
        assert!(text.is_ascii(), "{text}");
        let lines: Vec<_> =
            text.lines().map(str::split_whitespace).map(Iterator::collect::<Vec<_>>).collect();
        assert_eq!(lines[1].join(" "), "0 2048 1024 12:4 x2 0.900 dp_ep 1.00 -10.0 % split", "{text}");
        assert!(lines[2].join(" ").ends_with("nothing runs"));
        assert!(text.trim_end().ends_with("nothing runs at 1."));
        assert!(!text.contains("against dp_ep:"), "one baseline is what the verdict is about");
        let rows = [
            hand_made(0, "12:4", 900.0),
            hand_made(0, "dp_ep", 800.0),
            hand_made(0, "tp_pp_literal", 1000.0),
        ];
        let text = sweep(&rows, Dress::Plain);
        let line = "best split against tp_pp_literal: faster at 1 of 1, ties at 0, median -10.0 %\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn prompts_are_compared_by_the_time_to_their_first_tokens() {
        let of_prompts = |name, us| prompts(hand_made(0, name, us));
        let text = sweep(&[of_prompts("12:4", 900.0), of_prompts("tp_pp", 1000.0)], Dress::Plain);
        assert!(text.contains("TTFT, ms") && !text.contains("TPOT"), "{text}");
        assert!(text.contains("(median 10.0 % less time to the first tokens"), "{text}");
    }

    #[test]
    fn a_sweep_over_phases_says_that_its_times_are_of_two_kinds() {
        let prompts = prompts(hand_made(1, "12:4", 9.0));
        let text = sweep(&[hand_made(0, "12:4", 900.0), prompts], Dress::Plain);
        assert!(text.contains("TPOT or TTFT, ms"), "{text}");
    }

    #[test]
    fn a_run_prints_its_figures_and_accounts() {
        let row = &sweep_rows()[4];
        let text = run(row, Dress::Lines);
        assert!(text.contains("TPOT (steady)") && text.contains("attention"), "{text}");
        assert!(!text.contains("90 % of steps"), "all steps are alike: {text}");
        let mut varied = row.clone();
        let figures = varied.outcome.as_mut().unwrap();
        figures.tpot_step_us = figures.tpot_us.map(|us| (us, us * 1.1));
        assert!(run(&varied, Dress::Lines).contains("90 % of steps in"));
        assert_eq!(
            run(&not_fitting(0, "12:4"), Dress::Plain),
            "12:4 x2: does not fit: GPU n0.g0 needs 93.2 GiB of 80 GiB, 13.2 GiB missing\n"
        );
    }
}
