//! `results.csv`: one line for each row.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use masim_core::judging::sweep::{Row, RowJson};

/// The last column before those of the axes; what follows it in a row stands in `results.json` alone.
const LAST_FIXED: &str = "tuned";

/// The rows as CSV: the columns of [`RowJson`] up to the last fixed one, then one for each axis without a column of
/// its own, by path. `None` is an empty cell; floats are the shortest text that reads back to the same
/// value.
pub fn csv(rows: &[Row]) -> String {
    let axes: BTreeSet<&str> = rows.iter().flat_map(|row| row.axes.keys().map(String::as_str)).collect();
    let mut writer =
        ::csv::WriterBuilder::new().terminator(::csv::Terminator::Any(b'\n')).from_writer(vec![]);
    let mut write = |record: &[String]| writer.write_record(record).expect("a vector takes every record");
    let fixed = fixed_columns();
    write(&fixed.iter().cloned().chain(axes.iter().map(|&path| path.to_owned())).collect::<Vec<_>>());
    for row in rows {
        let object = object(&RowJson::from(row));
        let values = fixed.iter().map(|column| cell(&object[column]));
        let extra = axes.iter().map(|&path| row.axes.get(path).cloned().unwrap_or_default());
        write(&values.chain(extra).collect::<Vec<_>>());
    }
    let bytes = writer.into_inner().expect("a vector takes every flush");
    String::from_utf8(bytes).expect("made from strings")
}

/// The names of the columns up to [`LAST_FIXED`], taken from the type so that they cannot differ from it.
fn fixed_columns() -> Vec<String> {
    let object = object(&RowJson::default());
    let until_last = object.keys().position(|key| key == LAST_FIXED).expect("a row has this column");
    object.keys().take(until_last + 1).cloned().collect()
}

fn object(row: &RowJson) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("a row is an object, not {other:?}"),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (None, None, Some(float)) => float.to_string(),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, not_fitting};
    use masim_core::judging::sweep::Failure;

    #[test]
    fn the_header_is_exactly_the_documented_one() {
        let mut row = hand_made(0, "12:4", 1.0);
        row.axes.insert("cluster.scale_out.bandwidth".to_owned(), "50 GB/s".to_owned());
        let text = csv(&[row, not_fitting(0, "tp_pp")]);
        assert_eq!(
            text.lines().next().unwrap(),
            "row_idx,point_idx,strategy,name,model,cluster,profile,phase,batch,context_len,context_len_kind,\
             expert_load,n_gpus,n_attention_gpus,n_expert_gpus,heads,sequences,replicas,replica_mode,ep,\
             expert_tp,copies,tp,pp,dp,n_micro_batches,n_in_flight,n_overlapped,placement,dispatch,forward,\
             schedule,launch,seed,fits,n_steps,tpot_us,tpot_p05_us,tpot_p95_us,tpot_step_p05_us,\
             tpot_step_p95_us,step_time_us,closed_form_us,work_bound_us,tokens_per_sec,\
             tokens_per_sec_per_gpu,busy_share,resident_share,mfu,mbu,comm_exposed_us,wait_mean_us,\
             memory_max_gib,provenance,error,prompt_len,output_len,chunk_len,ttft_us,makespan_us,power_mean_w,\
             energy_per_token_j,overlap,comm_us,comm_overlap,host_us,expert_reduce,side,tuned,cluster.scale_out.bandwidth"
        );
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_empty_where_nothing_applies() {
        let mut row = not_fitting(0, "tp_pp");
        row.outcome = Err(Failure { fits: false, error: "GPU n0.g1, \"full\": 3 GiB missing".to_owned() });
        row.axes.insert("a".to_owned(), "1".to_owned());
        let text = csv(&[hand_made(0, "12:4", 0.1 + 0.2), row]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains(",0.30000000000000004,"), "{}", lines[1]);
        assert!(lines[1].ends_with(','), "the axis is not set there: {}", lines[1]);
        assert!(
            lines[2].ends_with(",\"GPU n0.g1, \"\"full\"\": 3 GiB missing\",,,,,,,,none,,,,,baseline,true,1"),
            "{}",
            lines[2]
        );
        let n_columns = |line: &str| {
            ::csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(line.as_bytes())
                .records()
                .next()
                .unwrap()
                .unwrap()
                .len()
        };
        assert!(lines.iter().all(|line| n_columns(line) == n_columns(lines[0])));
    }

    #[test]
    fn no_rows_are_a_header() {
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
