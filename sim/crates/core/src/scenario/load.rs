//! From a scenario's text, and the files that it names, to its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::{ContextLenFile, DecodeFile, DistributionFile, ScenarioFile, TraceFile, WorkloadFile};
use super::model_file::ModelFile;
use super::profiles::{Profiles, load_profiles};
use super::resolve::{Named, model_of, scenario_of};
use super::trace::read_trace;
use super::{ModelSpec, RequestTrace, Scenario};
use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText, Tree, parse_yaml};
use crate::inputs::topology::{Cluster, Place, ReferenceFile, load_cluster};

/// Reads the scenario that a whole file describes.
///
/// # Errors
///
/// The one syntax error, or the first malformed key, or all semantic problems, of the scenario or of the
/// first broken file that it names.
pub fn load_scenario(source: &SourceText, library: &dyn Library) -> Result<Scenario, InputError> {
    let file = read_scenario(source)?;
    Loader::new(library).scenario(&file, source)
}

/// Reads what a scenario's file says, with every default filled in.
///
/// # Errors
///
/// The one syntax error, or the first malformed key.
pub fn read_scenario(source: &SourceText) -> Result<ScenarioFile, InputError> {
    scenario_file_of(&Tree::parse(source)?, source)
}

/// Reads a scenario that stands in memory, such as a patched copy of the one in `source`.
///
/// # Errors
///
/// The first malformed key.
pub fn scenario_file_of(tree: &Tree, source: &SourceText) -> Result<ScenarioFile, InputError> {
    if tree.get("base").is_some() {
        let message = "a sweep was found where a scenario was expected; only sweeps have a `base`";
        return Err(InputError::new(source, vec![Problem::new("base", message)]));
    }
    tree.read_as().map_err(|problem| InputError::new(source, vec![problem]))
}

/// The scenario with every default filled in, as YAML.
pub fn resolved_yaml(file: &ScenarioFile) -> String {
    Tree::of(file).to_yaml()
}

/// Reads scenarios; clusters and models that several of them name are read once and shared.
pub struct Loader<'a> {
    library: &'a dyn Library,
    clusters: BTreeMap<String, Result<Arc<Cluster>, InputError>>,
    models: BTreeMap<String, Result<Arc<ModelSpec>, InputError>>,
    /// By profile and cluster.
    profiles: BTreeMap<(String, String), Result<Arc<Profiles>, InputError>>,
    /// By the file that names it, and what that says.
    traces: BTreeMap<(String, TraceFile), Result<Arc<RequestTrace>, InputError>>,
}

impl<'a> Loader<'a> {
    /// A loader that takes files from `library`.
    pub fn new(library: &'a dyn Library) -> Self {
        Self {
            library,
            clusters: BTreeMap::new(),
            models: BTreeMap::new(),
            profiles: BTreeMap::new(),
            traces: BTreeMap::new(),
        }
    }

    /// The scenario that `file`, which was read from `source`, describes.
    ///
    /// # Errors
    ///
    /// All semantic problems of the scenario, or of the first broken file that it names.
    pub fn scenario(&mut self, file: &ScenarioFile, source: &SourceText) -> Result<Scenario, InputError> {
        let cluster = self.cluster(file, source);
        let model = self.model(file, source);
        match (cluster, model) {
            (Ok(cluster), Ok(model)) => {
                let profiles = self.profiles(file, &cluster, source)?;
                let trace = self.trace(file, source)?;
                scenario_of(file, Named { cluster, model, profiles, trace })
                    .map_err(|problems| InputError::new(source, problems))
            }
            // Both may be problems of the scenario itself, and then belong into one report.
            (Err(mut cluster), Err(model)) if cluster.source == model.source => {
                cluster.problems.extend(model.problems);
                Err(cluster)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn cluster(&mut self, file: &ScenarioFile, source: &SourceText) -> Result<Arc<Cluster>, InputError> {
        let key = cache_key(&file.cluster, source);
        if let Some(known) = self.clusters.get(&key) {
            return known.clone();
        }
        let cluster = load_cluster(&file.cluster, Place { source, key: "cluster" }, self.library);
        self.clusters.insert(key, cluster.clone());
        cluster
    }

    fn profiles(
        &mut self,
        file: &ScenarioFile,
        cluster: &Cluster,
        source: &SourceText,
    ) -> Result<Arc<Profiles>, InputError> {
        let key = (Tree::of(&file.profile).to_json(), cache_key(&file.cluster, source));
        if let Some(known) = self.profiles.get(&key) {
            return known.clone();
        }
        let profiles = load_profiles(&file.profile, cluster, source, self.library).map(Arc::new);
        self.profiles.insert(key, profiles.clone());
        profiles
    }

    /// The trace that the workload draws contexts from, if it does.
    fn trace(
        &mut self,
        file: &ScenarioFile,
        source: &SourceText,
    ) -> Result<Option<Arc<RequestTrace>>, InputError> {
        let WorkloadFile::Decode(DecodeFile { context_len, .. }) = &file.workload else { return Ok(None) };
        let ContextLenFile::Distribution(DistributionFile::Trace(trace)) = context_len else {
            return Ok(None);
        };
        let key = (source.path.clone(), trace.clone());
        if let Some(known) = self.traces.get(&key) {
            return known.clone().map(Some);
        }
        let wrong =
            |message| InputError::new(source, vec![Problem::new("workload.context_len.path", message)]);
        let text = self.library.load(RefKind::Trace, &trace.path, &source.path).map_err(wrong);
        let found = text.and_then(|text| read_trace(&text, trace)).map(Arc::new);
        self.traces.insert(key, found.clone());
        found.map(Some)
    }

    fn model(&mut self, file: &ScenarioFile, source: &SourceText) -> Result<Arc<ModelSpec>, InputError> {
        let key = cache_key(&file.model, source);
        if let Some(known) = self.models.get(&key) {
            return known.clone();
        }
        let model = load_model(&file.model, source, self.library);
        self.models.insert(key, model.clone());
        model
    }
}

/// Equal keys name equal content: stems by themselves, paths with the file that they are relative to.
fn cache_key<T: serde::Serialize>(reference: &ReferenceFile<T>, source: &SourceText) -> String {
    match reference {
        ReferenceFile::Name(name) if name.contains('/') => format!("{}\n{name}", source.path),
        ReferenceFile::Name(name) => name.clone(),
        ReferenceFile::Inline(file) => Tree::of(file).to_json(),
    }
}

/// The model that `reference`, which stands under the key `model` of `source`, names or contains.
///
/// # Errors
///
/// All semantic problems of the model, or what is wrong with its file, or that there is none.
pub fn load_model(
    reference: &ReferenceFile<ModelFile>,
    source: &SourceText,
    library: &dyn Library,
) -> Result<Arc<ModelSpec>, InputError> {
    match reference {
        ReferenceFile::Name(name) => {
            let text = library
                .load(RefKind::Model, name, &source.path)
                .map_err(|message| InputError::new(source, vec![Problem::new("model", message)]))?;
            read_model(&text)
        }
        ReferenceFile::Inline(file) => model_of(file).map(Arc::new).map_err(|mut problems| {
            for problem in &mut problems {
                problem.key.insert_str(0, "model.");
            }
            InputError::new(source, problems)
        }),
    }
}

/// The model that a whole file describes.
///
/// # Errors
///
/// The one syntax error, or the first malformed key, or all semantic problems.
pub fn read_model(source: &SourceText) -> Result<Arc<ModelSpec>, InputError> {
    let file: ModelFile = parse_yaml(source)?;
    model_of(&file).map(Arc::new).map_err(|problems| InputError::new(source, problems))
}
