//! What theory says beside each simulated result: a bound that nothing beats, and a closed form.

mod closed_form;
mod expected;
mod work;

pub use closed_form::ClosedForm;
pub use work::{StepWork, step_work};
