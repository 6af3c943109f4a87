//! Parts that the fuzz targets share: bytes as a file, and shipped files for its references.
#![forbid(unsafe_code)]

use masim_core::inputs::text::{Library, RefKind, SourceText};

/// The shipped files that the default scenario names, compiled in.
pub struct Shipped;

impl Library for Shipped {
    fn load(&self, kind: RefKind, reference: &str, _from: &str) -> Result<SourceText, String> {
        let (path, text) = match (kind, reference) {
            (RefKind::Cluster, "a100-4x4") => ("a100-4x4.yaml", include_str!("../../topologies/a100-4x4.yaml")),
            (RefKind::Gpu, "a100-sxm4-80gb") => {
                ("a100-sxm4-80gb.yaml", include_str!("../../topologies/gpus/a100-sxm4-80gb.yaml"))
            }
            (RefKind::Model, "paper-4l") => ("paper-4l.yaml", include_str!("../../scenarios/models/paper-4l.yaml")),
            (RefKind::Scenario, "decode.yaml") => ("decode.yaml", include_str!("../../scenarios/decode.yaml")),
            _ => return Err(format!("there is no `{reference}`")),
        };
        Ok(SourceText { path: path.to_owned(), text: text.to_owned() })
    }

    fn has(&self, kind: RefKind, reference: &str, from: &str) -> bool {
        self.load(kind, reference, from).is_ok()
    }
}

/// The bytes as a file, if they are text.
pub fn source(data: &[u8]) -> Option<SourceText> {
    let text = std::str::from_utf8(data).ok()?;
    Some(SourceText { path: "fuzz.yaml".to_owned(), text: text.to_owned() })
}
