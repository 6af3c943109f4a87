//! A case that makes sense: every flow has a way, every link a rate.

use masim_units::Bandwidth;

use super::case_links::CaseLinks;
use super::file::{CaseFile, TopologyFile};
use super::flow::CaseFlow;
use super::line::Line;
use crate::inputs::text::{InputError, Library, SourceText};
use crate::inputs::topology::{Cluster, Place, ReferenceFile, load_cluster};

/// Flows over links, and what another simulator says of their ends.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The line of the text on which it begins, from 1.
    pub line: u32,
    /// Rates of the links, by identifier.
    pub links: Vec<Bandwidth>,
    /// Names of the links, such as `n0.g0->n0.pcie0`.
    pub link_names: Vec<String>,
    /// Names of what sends and receives.
    pub ends: Vec<String>,
    /// The flows, in order of their identifiers.
    pub flows: Vec<CaseFlow>,
    /// When each flow ends elsewhere, in seconds from the start of the case.
    pub expected_s: Option<Vec<f64>>,
}

impl Case {
    /// What `file` means; what is wrong with it goes to `line`.
    ///
    /// # Errors
    ///
    /// What is wrong with the cluster that it names.
    pub(super) fn from_file(
        file: &CaseFile,
        line: &mut Line<'_>,
        library: &dyn Library,
    ) -> Result<Option<Self>, InputError> {
        let cluster = match &file.topology {
            TopologyFile::Name(name) => Some(cluster(name, line.source(), library)?),
            TopologyFile::Graph(_) => None,
        };
        let fabric = match (&cluster, &file.topology) {
            (Some(cluster), _) => CaseLinks::of_cluster(cluster),
            (None, TopologyFile::Graph(graph)) => CaseLinks::of_graph(graph, line),
            (None, TopologyFile::Name(_)) => unreachable!("a name was loaded above"),
        };
        // Without sound links, every route would be wrong too.
        if line.has_problems() {
            return Ok(None);
        }
        if file.flows.is_empty() {
            line.add("flows", "is empty; expected at least one flow");
        }
        let flows: Vec<_> =
            file.flows.iter().enumerate().filter_map(|(idx, flow)| fabric.flow(idx, flow, line)).collect();
        let expected_s = file.expect.as_ref().map(|expect| expect.finish_s.clone());
        if let Some(n_expected) = expected_s.as_ref().map(Vec::len).filter(|&n| n != file.flows.len()) {
            let n_flows = file.flows.len();
            line.add("expect.finish_s", format_args!("{n_expected} ends for {n_flows} flows"));
        }
        let (links, link_names, ends) = fabric.into_parts();
        let (name, line) = (file.case.clone(), line.number());
        Ok(Some(Self { name, line, links, link_names, ends, flows, expected_s }))
    }
}

fn cluster(
    name: &str,
    source: &SourceText,
    library: &dyn Library,
) -> Result<std::sync::Arc<Cluster>, InputError> {
    load_cluster(&ReferenceFile::Name(name.to_owned()), Place { source, key: "topology" }, library)
}
