//! Bytes read as a sweep.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::judging::sweep::load_sweep;
use masim_fuzz::{Shipped, source};

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = load_sweep(&source, &Shipped).and_then(|sweep| sweep.expand(&Shipped));
    }
});
