//! Files with flipped, lost and repeated bytes are errors or scenarios, but never panics.

use masim_core::inputs::text::{SourceText, parse_yaml};
use masim_core::inputs::topology::{GpuFile, Place, card_from_file, read_cluster};
use masim_core::judging::network::read_cases;
use masim_core::judging::sweep::load_sweep;
use masim_core::scenario::{load_scenario, read_model};
use masim_tests::Shipped;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Bytes that YAML gives a meaning, and a few that it does not.
const SPICE: &[u8] = b"{}[]:,-&*!|>'\"%@`#?~ \n\t0123456789.eE+x<\0\x7f";

fn mutate(text: &str, random: &mut Pcg64Mcg) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..bytes.len());
        let spice = SPICE[random.random_range(0..SPICE.len())];
        match random.random_range(0..5) {
            0 => bytes[at] = spice,
            1 => bytes.insert(at, spice),
            2 => drop(bytes.drain(at..(at + random.random_range(1..20)).min(bytes.len()))),
            3 => {
                let piece = bytes[at..(at + random.random_range(1..40)).min(bytes.len())].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes[at] = random.random(),
        }
        if bytes.is_empty() {
            bytes.push(spice);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn mutated_files_never_panic() {
    type Read = fn(&SourceText, &Shipped) -> bool;
    let formats: [(&str, Read); 6] = [
        ("topologies/gpus/a100-sxm4-80gb.yaml", |text, _| {
            parse_yaml::<GpuFile>(text).and_then(|file| card_from_file(&file, Place::whole(text))).is_ok()
        }),
        ("topologies/a100-4x4.yaml", |text, shipped| read_cluster(text, shipped).is_ok()),
        ("scenarios/models/mixtral-8x7b.yaml", |text, _| read_model(text).is_ok()),
        ("scenarios/decode.yaml", |text, shipped| load_scenario(text, shipped).is_ok()),
        ("scenarios/quick.yaml", |text, shipped| {
            load_sweep(text, shipped).is_ok_and(|sweep| sweep.expand(shipped).is_ok())
        }),
        ("tests/data/simgrid/edge.jsonl", |text, shipped| read_cases(text, shipped).is_ok()),
    ];
    let shipped = Shipped::default();
    let mut random = Pcg64Mcg::seed_from_u64(1);
    for (path, read) in formats {
        let good = shipped.text(path).unwrap();
        assert!(read(&good, &shipped), "{path}");
        let n_read = (0..400).filter(|_| {
            let text = mutate(&good.text, &mut random);
            read(&SourceText { text, ..good.clone() }, &shipped)
        });
        let n_read = n_read.count();
        assert!((1..400).contains(&n_read), "{path}: {n_read} of 400 could still be read");
    }
}
