//! Parameters of models: named positive numbers, which a fit sees as a list.

/// A struct of positive numbers that a fit can see as a list.
macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $start:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: f64,)+
        }

        impl $name {
            /// Names, in the order of [`Self::from_values`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
            /// Start values of a fit, which hold where no measurement says otherwise.
            pub const START: &'static [f64] = &[$($start),+];

            /// The parameters whose values stand in the order of [`Self::NAMES`].
            ///
            /// # Panics
            ///
            /// When there are more or fewer values than names.
            pub fn from_values(values: &[f64]) -> Self {
                assert_eq!(values.len(), Self::NAMES.len(), "a value for each parameter");
                let mut values = values.iter().copied();
                Self { $($field: values.next().expect("counted above"),)+ }
            }
        }
    };
}

pub(crate) use params;
