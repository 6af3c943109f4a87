//! Bytes read as a model card.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::scenario::read_model;
use masim_fuzz::source;

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = read_model(&source);
    }
});
