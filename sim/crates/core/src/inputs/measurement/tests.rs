//! Sets that are right, and sets that are not.

use super::*;
use crate::inputs::text::SourceText;
use crate::inputs::topology::testing::Shipped;

const DESCRIPTION: &str = "\
gpu: a100-sxm4-80gb
stack: NCCL 2.27.3
source: a laboratory
licence: MIT
statistic: mean
cluster: { gpu: a100-sxm4-80gb, n_gpus_per_node: 8, scale_up: switch, n_nics_per_node: 4, nic: 25 GB/s }
assumed: [nic]
";

fn text(path: &str, text: &str) -> SourceText {
    SourceText { path: path.to_owned(), text: text.to_owned() }
}

fn raw(description: &str, family: Family, table: &str) -> RawSet {
    let tables = vec![(family, text("lab/table.csv", table))];
    RawSet { name: "lab".to_owned(), description: text("lab/set.yaml", description), tables }
}

#[test]
fn a_set_is_read() {
    let table = "kind,bytes,n_gpus,time_us,model\nall_reduce,4096,16,33.5,x\n";
    let set = read_set(&raw(DESCRIPTION, Family::Collective, table), &Shipped).unwrap();
    let row = &set.table(Family::Collective).unwrap().rows[0];
    let work = CollectiveWork { operation: Operation::AllReduce, bytes: 4096, n_gpus: 16, n_nodes: 2 };
    assert_eq!(row.work, Work::Collective(work));
    assert_eq!((row.line, row.group.as_slice()), (2, ["all_reduce", "16", ""].map(String::from).as_slice()));
    assert_eq!(set.site.machine.n_nics_per_node, 4);
    assert_eq!(set.warnings, ["`lab/table.csv`: columns that are not used: model"]);
}

#[test]
fn a_set_without_a_cluster_is_assumed_to_be_common() {
    let description = "gpu: a100-sxm4-80gb\nstack: s\nsource: s\nlicence: MIT\n";
    let table = "scope,bytes_per_pair,n_pairs,time_us\ninter_node,1,8,1\n";
    let set = read_set(&raw(description, Family::P2p, table), &Shipped).unwrap();
    assert_eq!(set.site.machine, Machine::assumed("a100-sxm4-80gb"));
    assert!(set.warnings[0].contains("assumed"), "{:?}", set.warnings);
}

#[test]
fn every_mistake_has_file_line_and_column() {
    let table = "kind,bytes,n_gpus,n_nodes,time_us\nall_reduce,0,8,1,1\nall_sum,1,8,1,1\n\
                 all_reduce,1,1,1,1\nall_reduce,1,16,1,1\nall_reduce,1,8,1,-1\nall_reduce,1,8,1,nan\n";
    let error = read_set(&raw(DESCRIPTION, Family::Collective, table), &Shipped).unwrap_err().to_string();
    for expected in [
        "lab/table.csv:2:1: `bytes`: found `0`; expected a whole number from 1",
        "lab/table.csv:3:1: `kind`: found `all_sum`; expected one of all_reduce, all_gather",
        "lab/table.csv:4:1: `n_gpus`: found 1; a collective needs two",
        "lab/table.csv:5:1: `n_nodes`: 16 GPUs do not fill 1 nodes of 8",
        "lab/table.csv:6:1: `time_us`: found `-1`; expected microseconds above 0",
        "lab/table.csv:7:1: `time_us`: found `nan`",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn tables_without_their_columns_or_rows_are_refused() {
    for (table, expected) in [
        ("kind,byte,n_gpus,time_us\n", "lab/table.csv:1:1: `bytes`: this column is required"),
        ("kind,bytes,n_gpus,time_us\n", "lab/table.csv: holds no rows"),
        ("kind,bytes,n_gpus,time_us\nall_reduce,1\n", "lab/table.csv:2:1: is no CSV"),
    ] {
        let error = read_set(&raw(DESCRIPTION, Family::Collective, table), &Shipped).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}\n{error}");
    }
    let wrong = DESCRIPTION.replace("n_nics_per_node: 4", "n_nics_per_node: 0");
    let error = read_set(&raw(&wrong, Family::P2p, ""), &Shipped).unwrap_err().to_string();
    assert!(error.contains("`cluster.n_nics_per_node`: expected a count from 1"), "{error}");
}

#[test]
fn rows_in_formats_that_the_card_lacks_are_said() {
    let table = "dtype,m,n,k,time_us\nfp8,1,2,3,4\nbf16,1,2,3,4\n";
    let set = read_set(&raw(DESCRIPTION, Family::Gemm, table), &Shipped).unwrap();
    let expected =
        "1 rows of `gemm` are in number formats that card `a100-sxm4-80gb` does not have: not used";
    assert_eq!(set.warnings, [expected]);
}
