//! Bytes read as a GPU card.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::inputs::text::parse_yaml;
use masim_core::inputs::topology::{GpuFile, Place, card_from_file};
use masim_fuzz::source;

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let card = parse_yaml::<GpuFile>(&source);
        let _ = card.and_then(|file| card_from_file(&file, Place::whole(&source)));
    }
});
