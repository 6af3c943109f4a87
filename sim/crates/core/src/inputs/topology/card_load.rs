//! From the file of a GPU card to its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_units::{Bytes, Watts};

use super::card::{GpuCard, PowerModel, Roofline};
use super::file::GpuFile;
use super::findings::{Findings, Place, join};
use super::reference::{FigureFile, ReferenceFile};
use crate::inputs::text::{InputError, Library, Problem, RefKind, parse_yaml};

/// The card that `reference`, which stands at `place`, names or contains.
///
/// # Errors
///
/// All semantic problems of the card, or the one syntax error of its file, or that there is no such file.
pub fn load_gpu(
    reference: &ReferenceFile<GpuFile>,
    place: Place<'_>,
    library: &dyn Library,
) -> Result<Arc<GpuCard>, InputError> {
    match reference {
        ReferenceFile::Inline(file) => card_from_file(file, place).map(Arc::new),
        ReferenceFile::Name(name) => {
            let text = library
                .load(RefKind::Gpu, name, &place.source.path)
                .map_err(|message| InputError::new(place.source, vec![Problem::new(place.key, message)]))?;
            let file: GpuFile = parse_yaml(&text)?;
            card_from_file(&file, Place::whole(&text)).map(Arc::new)
        }
    }
}

/// The card that `file`, which stands at `place`, describes.
///
/// # Errors
///
/// All semantic problems of the card.
pub fn card_from_file(file: &GpuFile, place: Place<'_>) -> Result<GpuCard, InputError> {
    let mut findings = Findings::new(place);
    findings.schema(file.schema);
    findings.text("name", &file.name, "the card's name");
    findings.source("source", &file.source);
    if file.peak.is_empty() {
        findings.add("peak", "is empty; expected a rate for at least one of bf16, fp16, fp32, fp8, int8");
    }
    findings.count("n_sms", file.n_sms, 1 << 16);
    for (key, size) in [("memory.size", &file.memory.size), ("l2", &file.l2)] {
        if size.value == Bytes::ZERO {
            findings.add(key, "is zero; expected a size");
        }
    }
    check_power(file.power.idle.value, file.power.tdp.value, &mut findings);
    check_power_model(file, &mut findings);
    findings.share("roofline.memory", file.roofline.memory);
    findings.share("roofline.matrix", file.roofline.matrix);
    findings.latency("roofline.launch_eager", file.roofline.launch_eager);
    findings.latency("roofline.launch_graph", file.roofline.launch_graph);
    findings.source("roofline.source", &file.roofline.source);
    let source = all_sources(file, &mut findings);
    findings.into_result()?;
    Ok(meaning(file, source))
}

/// Shares that published ranges of an A100-80GB ask for: with a context 26 to 50 W above idle, prompts at
/// about 1.0 and decode steps at 0.43 to 0.64 of the limit.
fn assumed_power() -> PowerModel {
    let context = Watts::new(38.0).expect("a positive number");
    let source = "assumed, as of an A100".to_owned();
    PowerModel { context, matrix: 1.5, memory: 0.75, link: 0.1, source }
}

fn check_power_model(file: &GpuFile, findings: &mut Findings<'_>) {
    let Some(model) = &file.power.model else { return };
    findings.source("power.model.source", &model.source);
    let shares = [("matrix", model.matrix), ("memory", model.memory), ("link", model.link)];
    for (key, share) in shares {
        if !(0.0..=10.0).contains(&share) {
            findings.add(
                &format!("power.model.{key}"),
                format_args!("{share:?} is out of range; expected 0 to 10"),
            );
        }
    }
    let (idle, context, tdp) = (file.power.idle.value, model.context, file.power.tdp.value);
    if idle.watts() + context.watts() > tdp.watts() {
        findings.add(
            "power.model.context",
            format_args!("{context} above {idle} without work exceed the limit `tdp` of {tdp}"),
        );
    }
}

fn check_power(idle: Watts, tdp: Watts, findings: &mut Findings<'_>) {
    if tdp.watts() <= 0.0 {
        findings.add("power.tdp", "is zero; expected the power limit");
    } else if idle > tdp {
        findings.add("power.idle", format_args!("{idle} is above the limit `tdp` of {tdp}"));
    }
}

/// The card's source, followed by the figures that have one of their own.
fn all_sources(file: &GpuFile, findings: &mut Findings<'_>) -> String {
    fn own<'a, Q>(key: &str, figure: &'a FigureFile<Q>) -> Option<(String, &'a str)> {
        figure.source.as_deref().map(|source| (key.to_owned(), source))
    }
    let peaks = file.peak.iter().map(|(dtype, rate)| own(&join("peak", dtype.name()), rate));
    let others = [
        own("memory.size", &file.memory.size),
        own("memory.bandwidth", &file.memory.bandwidth),
        own("l2", &file.l2),
        own("power.idle", &file.power.idle),
        own("power.tdp", &file.power.tdp),
    ];
    let mut all = vec![file.source.clone()];
    for (key, source) in peaks.chain(others).flatten() {
        findings.source(&join(&key, "source"), source);
        all.push(format!("{key}: {source}"));
    }
    all.join("; ")
}

fn meaning(file: &GpuFile, source: String) -> GpuCard {
    let roofline = &file.roofline;
    GpuCard {
        name: file.name.clone(),
        source,
        peak: file.peak.iter().map(|(&dtype, rate)| (dtype, rate.value)).collect(),
        memory_size: file.memory.size.value,
        memory_bandwidth: file.memory.bandwidth.value,
        n_sms: file.n_sms,
        l2: file.l2.value,
        power_idle: file.power.idle.value,
        power_tdp: file.power.tdp.value,
        power_model: file.power.model.as_ref().map_or_else(assumed_power, |model| PowerModel {
            context: model.context,
            matrix: model.matrix,
            memory: model.memory,
            link: model.link,
            source: model.source.clone(),
        }),
        roofline: Roofline {
            memory: roofline.memory,
            matrix: roofline.matrix,
            launch_eager: roofline.launch_eager,
            launch_graph: roofline.launch_graph,
            source: roofline.source.clone(),
        },
        assumed: file.assumed.clone(),
    }
}

/// The cards that a cluster names: each file is read once, and its first broken file is kept.
pub(crate) struct Cards<'a> {
    library: &'a dyn Library,
    by_name: BTreeMap<String, Option<Arc<GpuCard>>>,
    broken: Option<InputError>,
}

impl<'a> Cards<'a> {
    pub(crate) fn new(library: &'a dyn Library) -> Self {
        Self { library, by_name: BTreeMap::new(), broken: None }
    }

    /// The card under `key`; what is wrong with the text at hand goes to `findings`, the error of another file stays here.
    pub(crate) fn get(
        &mut self,
        reference: &ReferenceFile<GpuFile>,
        key: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Arc<GpuCard>> {
        if let ReferenceFile::Name(name) = reference
            && let Some(known) = self.by_name.get(name)
        {
            return known.clone();
        }
        let place = findings.place();
        let full_key = join(place.key, key);
        let loaded = load_gpu(reference, Place { source: place.source, key: &full_key }, self.library);
        let card = match loaded {
            Ok(card) => Some(card),
            Err(error) if error.source == *place.source => {
                findings.extend(error.problems);
                None
            }
            Err(error) => {
                self.broken.get_or_insert(error);
                None
            }
        };
        if let ReferenceFile::Name(name) = reference {
            self.by_name.insert(name.clone(), card.clone());
        }
        card
    }

    /// `name` now means `card`.
    pub(crate) fn set(&mut self, name: &str, card: Arc<GpuCard>) {
        self.by_name.insert(name.to_owned(), Some(card));
    }

    /// True if every card so far was fine.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_none()
    }

    /// The first broken card file, once the file at hand is fine.
    pub(crate) fn into_result(self) -> Result<(), InputError> {
        self.broken.map_or(Ok(()), Err)
    }
}
