//! From the file of a cluster to its meaning.

use std::sync::Arc;

use super::card_load::Cards;
use super::cluster::Cluster;
use super::explicit::{self, some_of};
use super::file::ClusterFile;
use super::findings::{Findings, Place};
use super::parts::GpuIdx;
use super::reference::ReferenceFile;
use super::regular;
use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText, parse_yaml};

/// The cluster that `reference`, which stands at `place`, names or contains.
///
/// # Errors
///
/// All semantic problems of the cluster's text, or the one syntax error in it, or that there is no such
/// file; if the text is fine, the problems of the first broken GPU card that it names.
pub fn load_cluster(
    reference: &ReferenceFile<ClusterFile>,
    place: Place<'_>,
    library: &dyn Library,
) -> Result<Arc<Cluster>, InputError> {
    match reference {
        ReferenceFile::Inline(file) => cluster_from_file(file, place, library),
        ReferenceFile::Name(name) => {
            let text = library
                .load(RefKind::Cluster, name, &place.source.path)
                .map_err(|message| InputError::new(place.source, vec![Problem::new(place.key, message)]))?;
            read_cluster(&text, library)
        }
    }
}

/// The cluster that a whole file describes.
///
/// # Errors
///
/// Same as [`load_cluster`].
pub fn read_cluster(source: &SourceText, library: &dyn Library) -> Result<Arc<Cluster>, InputError> {
    let file: ClusterFile = parse_yaml(source)?;
    cluster_from_file(&file, Place::whole(source), library)
}

/// The cluster that `file`, which stands at `place`, describes.
///
/// # Errors
///
/// Same as [`load_cluster`].
pub fn cluster_from_file(
    file: &ClusterFile,
    place: Place<'_>,
    library: &dyn Library,
) -> Result<Arc<Cluster>, InputError> {
    let mut findings = Findings::new(place);
    let mut cards = Cards::new(library);
    findings.schema(file.schema);
    findings.text("name", &file.name, "the cluster's name");
    let cluster = if file.nodes.is_some() || file.links.is_some() {
        let explicit = explicit::check(file, &mut cards, &mut findings);
        explicit.filter(|_| cards.is_whole()).map(|explicit| explicit.build(file))
    } else {
        let regular = regular::check(file, &mut cards, &mut findings);
        regular.filter(|_| findings.is_empty()).map(|regular| regular.build(file))
    };
    if let Some((reached, missed)) = cluster.as_ref().and_then(Cluster::halves) {
        let cluster = cluster.as_ref().expect("it has halves");
        findings.add("links", disconnected(cluster, &reached, &missed));
    }
    findings.into_result()?;
    cards.into_result()?;
    Ok(Arc::new(cluster.expect("a cluster without problems was built")))
}

fn disconnected(cluster: &Cluster, reached: &[GpuIdx], missed: &[GpuIdx]) -> String {
    let names = |gpus: &[GpuIdx]| some_of(gpus.iter().map(|&gpu| cluster.gpu(gpu).name.as_str()));
    let (from, to) = (&cluster.gpu(reached[0]).name, &cluster.gpu(missed[0]).name);
    format!(
        "there is no way from `{from}` to `{to}`: it reaches {} but not {}; a GPU forwards nothing",
        names(reached),
        names(missed)
    )
}
