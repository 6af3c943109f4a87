//! Sums over steps, taken before the steps are forgotten.

use masim_units::SimTime;

use super::steps::CopySteps;

/// The measured stretch of a copy: steps `first + 1` to `last`, from the end of step `first` to that of step `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The step at whose end it begins; `None` where it begins with the run.
    pub first: Option<u32>,
    /// The step at whose end it closes; far away while that is not known.
    pub last: u32,
    /// When it begins.
    pub from: SimTime,
    /// When it ends; far away while that is not known.
    pub to: SimTime,
}

impl Stretch {
    /// `at`, or the nearer end of the stretch.
    pub fn clip(&self, at: SimTime) -> SimTime {
        at.clamp(self.from, self.to)
    }

    /// True if step `idx` is one of those that are measured.
    pub fn measures(&self, idx: u32) -> bool {
        self.first.is_none_or(|first| first < idx) && idx <= self.last
    }
}

/// Takes in the steps of a copy one after the other, so that a long run need not keep them.
pub trait Fold {
    /// Takes in step `idx` of `copy`, of which `stretch` is measured.
    ///
    /// Steps that began while it ran are still kept, so that a task's cause can be looked up; so are those before it that
    /// ended while it ran. Whatever starts in a step that is not there yet starts after the steps behind `idx` began.
    fn take(&mut self, copy: &CopySteps, idx: u32, stretch: &Stretch);
}

/// Nothing is learned.
impl Fold for () {
    fn take(&mut self, _: &CopySteps, _: u32, _: &Stretch) {}
}
