//! Fits of rows that a known model made.

use std::fmt::Write as _;

use super::*;
use crate::inputs::measurement::{RawSet, read_set};
use crate::inputs::text::SourceText;
use crate::inputs::topology::testing::Shipped;

const DESCRIPTION: &str = "gpu: a100-sxm4-80gb\nstack: NCCL 2.27.3\nsource: made up\nlicence: none\n";

/// A set whose rows `predict` made, of all-reduces and all-to-alls.
fn collectives(name: &str, values: &[f64]) -> MeasurementSet {
    let form = Form::new(Family::Collective, "NCCL 2.27.3");
    let mut table = "kind,bytes,n_gpus,n_nodes,time_us\n".to_owned();
    for kind in ["all_reduce", "all_gather", "all_to_all"] {
        for n_gpus in [2, 3, 4, 6, 8] {
            for log in 9..29 {
                writeln!(table, "{kind},{},{n_gpus},1,1", 1_u64 << log).unwrap();
            }
        }
    }
    let mut set = set_of(name, Family::Collective, &table);
    for row in &mut set.tables[0].rows {
        row.time_us = form.predict_us(values, &row.work, &set.site).unwrap();
    }
    set
}

fn set_of(name: &str, family: Family, table: &str) -> MeasurementSet {
    let text = |text: &str| SourceText { path: name.to_owned(), text: text.to_owned() };
    let tables = vec![(family, text(table))];
    read_set(&RawSet { name: name.to_owned(), description: text(DESCRIPTION), tables }, &Shipped).unwrap()
}

#[test]
fn parameters_that_made_the_rows_are_found_again() {
    let names = Form::new(Family::Collective, "").names();
    let mut truth = Form::new(Family::Collective, "").start().to_vec();
    for (name, value) in names.iter().zip(&mut truth) {
        *value *= match *name {
            "launch_us" => 1.4,
            "ll_hop_us" => 0.8,
            "simple_rate" => 0.85,
            "simple_hop_us" => 1.2,
            _ => 1.0,
        };
    }
    let profile = calibrate("p", &[collectives("made", &truth)], None).unwrap();
    let fitted = &profile.families["collective"];
    assert_eq!(fitted.assumed, ["net_start_us", "nic_efficiency"]);
    let held_out = fitted.error.held_out.unwrap();
    assert!(held_out.mape < 0.01 && held_out.n == 60, "{held_out:?}");
    for (name, value) in names.iter().zip(&truth) {
        if ["launch_us", "ll_hop_us", "simple_rate"].contains(name) {
            let found = fitted.params[*name];
            assert!((found / value - 1.0).abs() < 0.05, "{name}: {found}, not {value}");
        }
    }
}

/// Eight groups, so two are held out; which ones was computed by another program.
#[test]
fn the_first_fifth_of_the_groups_in_order_of_hash_is_held_out() {
    let mut table = "scope,bytes_per_pair,n_pairs,time_us\n".to_owned();
    for scope in ["intra_node", "inter_node"] {
        for n_pairs in [1, 2, 4, 8] {
            writeln!(table, "{scope},1024,{n_pairs},1").unwrap();
        }
    }
    let set = set_of("vidur-p2p-a100", Family::P2p, &table);
    let split = Split::new(1, &set.name, &set.tables[0]);
    let held_out: Vec<_> = split.held_out().collect();
    let of = |n| format!("1|vidur-p2p-a100|scope=intra_node|n_pairs={n}");
    assert_eq!(held_out, [of(1), of(4)]);
    let other = Split::new(2, &set.name, &set.tables[0]);
    assert_ne!(split, other);
}

/// Five groups are fewer than ten: `n_gpus` alone names them, and one is held out.
#[test]
fn few_groups_are_named_by_the_coarse_columns() {
    let mut table = "kind,bytes,n_gpus,n_nodes,time_us\n".to_owned();
    for n_gpus in [2, 3, 5, 6, 8] {
        writeln!(table, "all_reduce,1024,{n_gpus},1,1").unwrap();
    }
    let set = set_of("vtrain-nccl-a100", Family::Collective, &table);
    let split = Split::new(1, &set.name, &set.tables[0]);
    assert_eq!(split.held_out().collect::<Vec<_>>(), ["1|vtrain-nccl-a100|n_gpus=8"]);
    let one = set_of("x", Family::Collective, "kind,bytes,n_gpus,time_us\nall_reduce,1,2,1\n");
    assert_eq!(Split::new(1, "x", &one.tables[0]).held_out().count(), 0);
}

#[test]
fn rows_that_are_held_out_do_not_move_the_fit() {
    let truth = Form::new(Family::Collective, "").start().to_vec();
    let set = collectives("made", &truth);
    let split = Split::new(SEED, &set.name, &set.tables[0]);
    let mut other = set.clone();
    for row in &mut other.tables[0].rows {
        if split.is_held_out(row) {
            row.time_us *= 3.0;
        }
    }
    let [a, b] = [set, other].map(|set| calibrate("p", &[set], None).unwrap());
    assert_eq!(a.families["collective"].params, b.families["collective"].params);
    assert_ne!(a.families["collective"].error.held_out, b.families["collective"].error.held_out);
}

#[test]
fn a_profile_reads_back_and_keeps_other_families() {
    let table = "scope,bytes_per_pair,n_pairs,time_us\nintra_node,1024,1,38\nintra_node,100000000,2,420\n";
    let pairs = set_of("pairs", Family::P2p, table);
    let first = calibrate("p", std::slice::from_ref(&pairs), None).unwrap();
    let source = SourceText { path: "p.yaml".to_owned(), text: first.to_yaml() };
    assert_eq!(ProfileFile::read(&source).unwrap(), first);
    let start = Form::new(Family::Collective, "").start().to_vec();
    let both = calibrate("p", &[collectives("made", &start)], Some(first.clone())).unwrap();
    assert_eq!(both.families["p2p"], first.families["p2p"]);
    assert_eq!(both.families.len(), 2);
    let mut other = pairs;
    "h100-sxm".clone_into(&mut other.gpu);
    let error = calibrate("p", &[other], Some(first)).unwrap_err().to_string();
    assert_eq!(error, "set `pairs` was measured on `h100-sxm`, but the profile is for `a100-sxm4-80gb`");
}

#[test]
fn a_profile_with_impossible_parameters_is_refused() {
    let table = "scope,bytes_per_pair,n_pairs,time_us\nintra_node,1024,1,38\n";
    let profile = calibrate("p", &[set_of("pairs", Family::P2p, table)], None).unwrap();
    let text = profile.to_yaml();
    for (good, bad, expected) in [
        ("schema: 1", "schema: 7", "`schema`: found 7; this version reads schema 1"),
        ("launch_us: ", "launch_us: -", "`families.p2p.params.launch_us`: found -"),
    ] {
        let text = text.replacen(good, bad, 1);
        let error =
            ProfileFile::read(&SourceText { path: "p.yaml".to_owned(), text }).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
