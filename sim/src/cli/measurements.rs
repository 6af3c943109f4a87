//! Measurement sets and profiles from folders and names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exit::CliError;
use super::library::Folders;
use super::{files, terminal};
use masim_core::inputs::measurement::{
    Family, MeasurementSet, RawSet, WholeFamily, WholeSet, read_set, read_whole,
};
use masim_core::inputs::profile::{ProfileFile, generic_of};
use masim_core::inputs::text::{InputError, Library, RefKind, SourceText};
use masim_core::inputs::topology::{GpuCard, Place, ReferenceFile, load_gpu};
use masim_core::timing::fitted::CardModels;
use masim_core::timing::predictor::Predictor;

/// Reads every set, says its warnings, and names all files that have problems.
pub(super) fn read_sets(folders: &[PathBuf]) -> Result<Vec<MeasurementSet>, CliError> {
    let (mut sets, mut problems) = (Vec::<MeasurementSet>::new(), Vec::<InputError>::new());
    for folder in folders {
        match read_set(&raw_set(folder)?, &Folders) {
            Ok(set) => sets.push(set),
            Err(error) => problems.push(error),
        }
    }
    if !problems.is_empty() {
        return Err(CliError::Input(problems));
    }
    for warning in sets.iter().flat_map(|set| &set.warnings) {
        terminal::warn(warning);
    }
    let repeated = sets.iter().enumerate().find(|(at, set)| sets[..*at].iter().any(|it| it.name == set.name));
    if let Some((_, set)) = repeated {
        return Err(CliError::usage(format!("two sets are called `{}`", set.name), None));
    }
    Ok(sets)
}

fn raw_set(folder: &Path) -> Result<RawSet, CliError> {
    let description = folder.join("set.yaml");
    if !description.is_file() {
        let message = format!("`{}` is no measurement set: it has no `set.yaml`", folder.display());
        return Err(CliError::usage(message, Some("a set is a folder with `set.yaml` and a CSV per family")));
    }
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let Some(name) = name else {
        return Err(CliError::usage(format!("`{}` has no name in UTF-8", folder.display()), None));
    };
    let mut tables = Vec::new();
    for family in Family::ALL {
        let path = folder.join(format!("{}.csv", family.name()));
        if path.is_file() {
            tables.push((family, files::read_text(&path)?));
        }
    }
    if tables.is_empty() && whole_tables(folder)?.is_empty() {
        terminal::warn(&format!("set `{name}` has no table of a family that is modelled"));
    }
    Ok(RawSet { name, description: files::read_text(&description)?, tables })
}

/// The tables of whole models in `folders`, of which `sets` are the descriptions; sets without any are left out.
pub(super) fn read_whole_sets(
    folders: &[PathBuf],
    sets: &[MeasurementSet],
) -> Result<Vec<WholeSet>, CliError> {
    let mut found = Vec::new();
    for (folder, set) in folders.iter().zip(sets) {
        let tables = whole_tables(folder)?;
        if !tables.is_empty() {
            found.push(read_whole(set.clone(), &tables)?);
        }
    }
    for warning in found.iter().flat_map(|set: &WholeSet| &set.warnings) {
        terminal::warn(warning);
    }
    Ok(found)
}

fn whole_tables(folder: &Path) -> Result<Vec<(WholeFamily, SourceText)>, CliError> {
    let mut tables = Vec::new();
    for family in WholeFamily::ALL {
        let path = folder.join(format!("{}.csv", family.name()));
        if path.is_file() {
            tables.push((family, files::read_text(&path)?));
        }
    }
    Ok(tables)
}

/// The profile at a path, or of that name in `topologies/profiles/`.
pub(super) fn read_profile(profile: &str) -> Result<ProfileFile, CliError> {
    let is_path = profile.contains('/') || Path::new(profile).is_file();
    let text = if is_path {
        files::read_text(Path::new(profile))?
    } else {
        Folders.load(RefKind::Profile, profile, "").map_err(|message| CliError::usage(message, None))?
    };
    Ok(ProfileFile::read(&text)?)
}

/// The models of a profile, and its predictor in place of those of attention and experts.
pub(super) fn predictor_of(profile: &ProfileFile) -> Result<CardModels, CliError> {
    let named = |error: String| CliError::usage(format!("profile `{}`: {error}", profile.name), None);
    let file = profile.predictor.as_ref().ok_or_else(|| {
        let message = format!("profile `{}` has no predictor", profile.name);
        CliError::usage(message, Some("masim calibrate SETS --predictor -o PROFILE trains one"))
    })?;
    let predictor = Predictor::of_file(file).map_err(|error| named(error.to_string()))?;
    let models = CardModels::new(profile, None).map_err(|error| named(error.to_string()))?;
    Ok(models.with_predictor(predictor))
}

/// The models of a profile, completed by those of all stacks of its card, and said to be so.
pub(super) fn models_of(profile: &ProfileFile) -> Result<CardModels, CliError> {
    let generic = generic_of(&profile.gpu, &Folders, "")?.filter(|generic| generic.name != profile.name);
    let models = CardModels::new(profile, generic.as_ref())
        .map_err(|error| CliError::usage(format!("profile `{}`: {error}", profile.name), None))?;
    let taken: Vec<_> = models.substitutes().map(|(family, _)| family.name()).collect();
    if let Some(generic) = generic.filter(|_| !taken.is_empty()) {
        terminal::warn(&format!(
            "profile `{}` lacks {}: taken from `{}`, at best Extrapolated",
            profile.name,
            taken.join(", "),
            generic.name
        ));
    }
    Ok(models)
}

/// The card of that name.
pub(super) fn card_of(gpu: &str) -> Result<Arc<GpuCard>, CliError> {
    let source = SourceText { path: String::new(), text: String::new() };
    let place = Place { source: &source, key: "gpu" };
    load_gpu(&ReferenceFile::Name(gpu.to_owned()), place, &Folders).map_err(|error| {
        let alone = error.source.path.is_empty();
        if alone { CliError::usage(error.problems[0].message.clone(), None) } else { error.into() }
    })
}
