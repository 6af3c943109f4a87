//! What a line of a flow set says.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Flows of one case: more would not end within minutes, nor fit into a few GB.
pub(super) const N_FLOWS_MAX: usize = 1 << 21;

/// A list that is refused, not read on, when it becomes too long.
fn few_enough<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FlowFile>, D::Error> {
    struct Flows;

    impl<'de> Visitor<'de> for Flows {
        type Value = Vec<FlowFile>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of flows")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<FlowFile>, A::Error> {
            let mut flows = Vec::new();
            while let Some(flow) = list.next_element()? {
                if flows.len() == N_FLOWS_MAX {
                    return Err(A::Error::custom(format_args!(
                        "there are more than {N_FLOWS_MAX} flows, the most that a case may have"
                    )));
                }
                flows.push(flow);
            }
            Ok(flows)
        }
    }

    deserializer.deserialize_seq(Flows)
}

/// One case: links, flows over them, and what another simulator says of their ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    pub(super) case: String,
    pub(super) topology: TopologyFile,
    #[serde(deserialize_with = "few_enough")]
    pub(super) flows: Vec<FlowFile>,
    pub(super) expect: Option<ExpectFile>,
    #[serde(rename = "pattern")]
    _pattern: Option<serde_json::Value>,
    #[serde(rename = "note")]
    _note: Option<serde_json::Value>,
}

/// A cluster by name, or a graph.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected the name of a cluster, or `name`, `nodes`, `hosts` and `links`")]
pub(super) enum TopologyFile {
    Name(String),
    Graph(GraphFile),
}

/// Nodes and the directed links between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphFile {
    #[serde(rename = "name")]
    _name: String,
    pub(super) nodes: Vec<String>,
    /// The nodes that send and receive; the others forward.
    pub(super) hosts: Vec<String>,
    pub(super) links: Vec<LinkFile>,
}

/// A directed link.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkFile {
    pub(super) id: u32,
    pub(super) src: String,
    pub(super) dst: String,
    /// Bytes per second.
    pub(super) bw: f64,
    /// Seconds.
    pub(super) lat: f64,
}

/// Where data comes from or goes to.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a name, or the index of a GPU")]
pub(super) enum EndFile {
    /// A GPU of a cluster that is named.
    Index(u32),
    /// A GPU or a node.
    Name(String),
}

impl fmt::Display for EndFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(idx) => write!(f, "{idx}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Data to be sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowFile {
    pub(super) id: u32,
    pub(super) src: EndFile,
    pub(super) dst: EndFile,
    pub(super) bytes: u64,
    pub(super) start_ns: u64,
    /// Identifiers of links in order of crossing.
    pub(super) route: Option<Vec<u32>>,
}

/// What another simulator says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectFile {
    /// Seconds from the start of the case, by flow.
    pub(super) finish_s: Vec<f64>,
}
