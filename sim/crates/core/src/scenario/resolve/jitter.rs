//! From the YAML of variation from run to run to its meaning.

use super::Findings;
use crate::scenario::jitter_file::{JitterFile, WidthFile};
use crate::scenario::{Jitter, Profiles, Width};

/// Beyond it a standard deviation is no variation of one thing any more.
const WIDTH_MAX: f64 = 1.0;

pub(super) fn jitter_of(file: &JitterFile, profiles: &Profiles, findings: &mut Findings) -> Jitter {
    let widths = match file {
        JitterFile::None => return Jitter::NONE,
        JitterFile::Profile => {
            check_profile("jitter", profiles, findings);
            return Jitter::PROFILE;
        }
        JitterFile::Given(widths) => widths,
    };
    if widths.source.trim().is_empty() {
        findings.add("jitter.source", "is empty; expected where the shares come from");
    }
    let mut width = |key: &str, width: WidthFile| match width {
        WidthFile::Profile => {
            check_profile(key, profiles, findings);
            Width::Profile
        }
        WidthFile::Share(share) => {
            if !(0.0..=WIDTH_MAX).contains(&share) {
                findings.add(key, format_args!("{share:?} is out of range; expected 0 to {WIDTH_MAX:?}"));
            }
            Width::Share(share)
        }
    };
    Jitter {
        kernels: width("jitter.kernels", widths.kernels),
        communication: width("jitter.communication", widths.communication),
    }
}

fn check_profile(key: &str, profiles: &Profiles, findings: &mut Findings) {
    if profiles.cards.is_empty() {
        findings.add_with_hint(
            key,
            "`profile` takes what a profile holds, and the scenario names none",
            "name a `profile`, or give shares: { kernels: 0.02, communication: 0.05, source: ... }",
        );
    }
}
