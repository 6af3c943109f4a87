//! JSON Schemas of all file formats, from which editors complete keys and mark mistakes.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::inputs::profile::ProfileFile;
use crate::inputs::topology::{ClusterFile, GpuFile};
use crate::judging::sweep::file::SweepFile;
use crate::program::file::ProgramJson;
use crate::scenario::{ModelFile, ScenarioFile};

/// The name of each format and its schema; `schemas/<name>.schema.json` holds it.
pub fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("gpu", schema::<GpuFile>()),
        ("cluster", schema::<ClusterFile>()),
        ("model", schema::<ModelFile>()),
        ("scenario", schema::<ScenarioFile>()),
        ("sweep", schema::<SweepFile>()),
        ("profile", schema::<ProfileFile>()),
        ("program", schema::<ProgramJson>()),
    ]
}

/// What files say on the way in, so that keys with a default are not required.
fn schema<F: JsonSchema>() -> String {
    let generator = SchemaSettings::draft07().for_deserialize().into_generator();
    let schema = generator.into_root_schema_for::<F>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
