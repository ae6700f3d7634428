//! How a setting is declared, once for all the ways in which it can be set.

/// Defines the settings of a section as they apply ([`Default`] gives the built-in values), and the layer in which
/// each may be missing: read from flags and variables, or from a section of the file.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $name:ident, layer $layer:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $ty:ty = $default:expr, $flag:literal $env:literal $([$($arg:tt)+])?;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }

        #[doc = concat!("What one source says of [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, Default, clap::Args, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $layer {
            $(
                $(#[doc = $doc])+
                #[arg(long = $flag, env = $env $(, $($arg)+)?)]
                pub $field: Option<$ty>,
            )*
        }

        impl $name {
            /// Takes what `layer` says.
            pub fn overlay(&mut self, layer: $layer) {
                $(if let Some(value) = layer.$field { self.$field = value; })*
            }
        }
    };
}
pub(super) use settings;
