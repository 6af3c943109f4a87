//! A multilayer perceptron: matrices, biases, and max(0, x) between them.

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::inputs::profile::predictor::LayerFile;

/// Neurons of the hidden layers.
///
/// # Source
///
/// The paper, "Time Prediction Model": 3 hidden layers of 64, 32 and 16 neurons with `ReLU`.
pub(super) const HIDDEN: [usize; 3] = [64, 32, 16];

/// `outputs = weights inputs + biases`, a column for each sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    pub(super) weights: DMatrix<f64>,
    pub(super) biases: DVector<f64>,
}

/// Layers; all but the last are followed by `ReLU`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    pub(super) layers: Vec<Layer>,
}

impl Network {
    /// Weights drawn evenly from +-sqrt(6 / inputs), biases zero.
    ///
    /// # Source
    ///
    /// He et al., "Delving Deep into Rectifiers", 2015.
    pub(super) fn new(n_inputs: usize, rng: &mut Pcg64) -> Self {
        let mut layers = Vec::new();
        let mut n_before = n_inputs;
        for n in HIDDEN.into_iter().chain([1]) {
            let bound = (6.0 / n_before as f64).sqrt();
            let weights = DMatrix::from_fn(n, n_before, |_, _| bound * (2.0 * rng.random::<f64>() - 1.0));
            layers.push(Layer { weights, biases: DVector::zeros(n) });
            n_before = n;
        }
        Self { layers }
    }

    /// The network of a file; else the layer, from 1, that does not fit, and how many weights its rows should have.
    pub(super) fn of_file(n_inputs: usize, files: &[LayerFile]) -> Result<Self, (usize, usize)> {
        let mut layers = Vec::new();
        let mut n_before = n_inputs;
        for (at, file) in files.iter().enumerate() {
            let n = file.biases.len();
            let is_last = at + 1 == files.len();
            let fits = file.weights.len() == n && file.weights.iter().all(|row| row.len() == n_before);
            if !fits || n == 0 || (is_last && n != 1) {
                return Err((at + 1, n_before));
            }
            let weights = DMatrix::from_row_iterator(n, n_before, file.weights.iter().flatten().copied());
            layers.push(Layer { weights, biases: DVector::from_row_slice(&file.biases) });
            n_before = n;
        }
        if layers.is_empty() { Err((1, n_inputs)) } else { Ok(Self { layers }) }
    }

    /// The layers in the form of a file, each number with six significant digits.
    pub(super) fn to_files(&self) -> Vec<LayerFile> {
        let row_of = |row: nalgebra::DVector<f64>| row.iter().copied().map(six_digits).collect();
        let file = |layer: &Layer| LayerFile {
            weights: layer.weights.row_iter().map(|row| row_of(row.transpose())).collect(),
            biases: row_of(layer.biases.clone()),
        };
        self.layers.iter().map(file).collect()
    }

    /// The output for each column of `inputs`.
    pub(super) fn outputs(&self, inputs: &DMatrix<f64>) -> DMatrix<f64> {
        self.activations(inputs).pop().expect("a network has layers")
    }

    /// Outputs of every layer, `ReLU` included.
    fn activations(&self, inputs: &DMatrix<f64>) -> Vec<DMatrix<f64>> {
        let mut all = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let mut out = &layer.weights * all.last().unwrap_or(inputs);
            for mut column in out.column_iter_mut() {
                column += &layer.biases;
            }
            if at + 1 < self.layers.len() {
                out.apply(|x| *x = x.max(0.0));
            }
            all.push(out);
        }
        all
    }

    /// The slope of a cost in every weight and bias, where `slope` is that in an output for its sample.
    pub(super) fn gradient(&self, inputs: &DMatrix<f64>, slope: impl Fn(usize, f64) -> f64) -> Vec<Layer> {
        let activations = self.activations(inputs);
        let outputs = activations.last().expect("a network has layers");
        let mut behind = DMatrix::from_fn(1, inputs.ncols(), |_, at| slope(at, outputs[(0, at)]));
        let mut gradient = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let before = if at == 0 { inputs } else { &activations[at - 1] };
            gradient.push(Layer { weights: &behind * before.transpose(), biases: behind.column_sum() });
            if at > 0 {
                behind = layer.weights.tr_mul(&behind);
                // Where ReLU let nothing through, nothing depends on what came in.
                behind.zip_apply(before, |slope, out| {
                    if out <= 0.0 {
                        *slope = 0.0;
                    }
                });
            }
        }
        gradient.reverse();
        gradient
    }
}

/// `value` with six significant digits.
pub(super) fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().expect("a number that was just written")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// The slope of sum(out^2) / 2 in a weight is what the cost changes by when the weight does.
    #[test]
    fn the_gradient_is_the_slope_of_the_cost() {
        let mut rng = Pcg64::seed_from_u64(3);
        let network = Network::new(2, &mut rng);
        let inputs = DMatrix::from_row_slice(2, 3, &[0.3, -1.0, 0.8, 0.5, 0.2, -0.7]);
        let cost = |network: &Network| network.outputs(&inputs).norm_squared() / 2.0;
        let gradient = network.gradient(&inputs, |_, out| out);
        for (at, layer) in gradient.iter().enumerate() {
            for place in [(0, 0), (layer.weights.nrows() - 1, 1)] {
                let moved = |by: f64| {
                    let mut moved = network.clone();
                    moved.layers[at].weights[place] += by;
                    cost(&moved)
                };
                let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let found = layer.weights[place];
                assert!((found - expected).abs() < 1e-6, "layer {at}, {place:?}: {found} {expected}");
            }
            let mut moved = network.clone();
            moved.layers[at].biases[0] += 1e-6;
            let expected = (cost(&moved) - cost(&network)) / 1e-6;
            assert!((layer.biases[0] - expected).abs() < 1e-4, "layer {at}: {expected}");
        }
    }

    #[test]
    fn layers_that_do_not_follow_are_refused() {
        let layer =
            |rows: usize, width| LayerFile { weights: vec![vec![0.5; width]; rows], biases: vec![0.0; rows] };
        assert!(Network::of_file(2, &[layer(3, 2), layer(1, 3)]).is_ok());
        assert_eq!(Network::of_file(2, &[layer(3, 2), layer(1, 2)]), Err((2, 3)));
        assert_eq!(Network::of_file(2, &[layer(3, 2)]), Err((1, 2)));
        assert_eq!(Network::of_file(2, &[]), Err((1, 2)));
    }
}
