//! The committed schemas are those of the types.

use std::path::PathBuf;

#[test]
fn the_committed_schemas_are_current() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let bless = std::env::var_os("MASIM_BLESS").is_some();
    for (name, schema) in masim_core::judging::schema::schemas() {
        let path = folder.join(format!("{name}.schema.json"));
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &schema).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == schema,
            "schemas/{name}.schema.json is stale; make it again with\n    MASIM_BLESS=1 cargo test -p masim-tests --test inputs schemas"
        );
    }
}
