//! Rows that count, and rows that cannot be predicted.

use std::fmt::Write as _;

use super::*;
use crate::inputs::measurement::{RawSet, read_set};
use crate::inputs::profile::ProfileFile;
use crate::inputs::text::SourceText;
use crate::inputs::topology::testing::Shipped;
use crate::judging::calibrate::calibrate;
use crate::timing::fitted::UnknownModel;

fn set(name: &str, factor: f64) -> MeasurementSet {
    let text = |text: &str| SourceText { path: name.to_owned(), text: text.to_owned() };
    let mut table = "scope,bytes_per_pair,n_pairs,time_us\n".to_owned();
    for n_pairs in [1, 2, 4] {
        for (bytes, time) in [(1024, 36.0), (1_000_000, 37.0), (100_000_000, 420.0)] {
            writeln!(table, "intra_node,{bytes},{n_pairs},{}", time * factor).unwrap();
        }
    }
    let description = text("gpu: a100-sxm4-80gb\nstack: s\nsource: s\nlicence: none\n");
    let tables = vec![(Family::P2p, text(&table))];
    read_set(&RawSet { name: name.to_owned(), description, tables }, &Shipped).unwrap()
}

fn models(profile: &ProfileFile) -> Result<CardModels, UnknownModel> {
    CardModels::new(profile, None)
}

#[test]
fn rows_of_the_fit_count_only_when_asked_for() {
    let own = set("own", 1.0);
    let models = models(&calibrate("p", std::slice::from_ref(&own), None).unwrap()).unwrap();
    let n_of = |sets: &[MeasurementSet], rows| {
        let found = validate(sets, &models, rows);
        found.iter().map(|it| (it.band, it.accuracy.map_or(0, |is| is.n))).collect::<Vec<_>>()
    };
    let thirds = |n| vec![("all", 3 * n), ("lt_64KB", n), ("64KB_to_8MB", n), ("gt_8MB", n)];
    assert_eq!(n_of(std::slice::from_ref(&own), Rows::Unfitted), thirds(1));
    assert_eq!(n_of(&[own], Rows::All), thirds(3));
    assert_eq!(n_of(&[set("other", 1.0)], Rows::Unfitted), thirds(3));
}

/// Twice the time measured: predicted / measured - 1 is near -0.5 for every row.
#[test]
fn a_slower_laboratory_shows_as_bias() {
    let profile = calibrate("p", &[set("own", 1.0)], None).unwrap();
    let found = validate(&[set("slow", 2.0)], &models(&profile).unwrap(), Rows::Unfitted);
    let all = found[0].accuracy.unwrap();
    assert!((all.bias + 0.5).abs() < 0.03 && (all.mape + all.bias).abs() < 1e-12, "{all:?}");
}

/// An A100 multiplies no fp8: that row is missing, and the roofline's error is of the other.
#[test]
fn the_roofline_is_judged_on_the_rows_that_have_a_prediction() {
    let text = |text: &str| SourceText { path: "products".to_owned(), text: text.to_owned() };
    let description = text("gpu: a100-sxm4-80gb\nstack: s\nsource: s\nlicence: none\n");
    let table = text("dtype,m,n,k,time_us\nfp8,64,4096,4096,30\nbf16,64,4096,4096,30\n");
    let raw = RawSet { name: "products".to_owned(), description, tables: vec![(Family::Gemm, table)] };
    let found = validate(&[read_set(&raw, &Shipped).unwrap()], &CardModels::default(), Rows::All);
    let all = &found[0];
    assert_eq!((all.n_missing, all.accuracy.map(|is| is.n)), (1, Some(1)));
    assert_eq!(all.roofline_mape, all.accuracy.map(|is| is.mape));
}

#[test]
fn families_without_a_model_are_counted_as_missing() {
    let mut profile = calibrate("p", &[set("own", 1.0)], None).unwrap();
    let fitted = profile.families.remove("p2p").unwrap();
    let found = validate(&[set("own", 1.0)], &models(&profile).unwrap(), Rows::Unfitted);
    assert_eq!((found[0].n_missing, found[0].accuracy), (9, None));
    let model = "other".to_owned();
    profile.families.insert("p2p".to_owned(), crate::inputs::profile::FamilyFile { model, ..fitted });
    let error = models(&profile).unwrap_err().to_string();
    assert_eq!(error, "`p2p` is modelled by `other`; expected `launch_and_wire`");
}
