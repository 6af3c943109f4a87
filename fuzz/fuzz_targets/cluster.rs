//! Bytes read as a cluster.
#![no_main]

use libfuzzer_sys::fuzz_target;
use masim_core::inputs::topology::read_cluster;
use masim_fuzz::{Shipped, source};

fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = read_cluster(&source, &Shipped);
    }
});
