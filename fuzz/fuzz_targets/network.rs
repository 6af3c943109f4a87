//! Bytes read as a set of flows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::judging::network::read_cases;
use masim_fuzz::{Shipped, source};

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = read_cases(&source, &Shipped);
    }
});
