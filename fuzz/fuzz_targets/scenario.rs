//! Bytes read as a scenario.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::scenario::load_scenario;
use masim_fuzz::{Shipped, source};

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = load_scenario(&source, &Shipped);
    }
});
