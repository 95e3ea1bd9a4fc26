//! The declaration macros.

/// Declares a table of settings: struct, defaults, refusal of unknown keys, range checks and reference, from one text.
///
/// ```
/// use settings::{check, rust_decimal::Decimal};
///
/// settings::section! {
///     /// Limits that no order may cross.
///     pub Limits {
///         /// Largest value of one order.
///         max_order_notional: Decimal = "250", unit "quote currency", check check::positive();
///         /// Orders that may rest at once.
///         max_open_orders: u32 = 50, check check::between(1, 500);
///     }
/// }
///
/// assert_eq!(Limits::default().max_open_orders, 50);
/// ```
///
/// A table in which some keys are required is declared as `Name, without default { ... }`; a key without `= ...` is
/// required. The default is written as in a file; `settings::absent()` for an `Option`, `settings::empty()` for a
/// table.
#[macro_export]
macro_rules! section {
    (@schema [$($sdoc:literal)+] $vis:vis $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty $(= $default:expr)? $(, unit $unit:literal)? $(, check $check:expr)?;)*
    }) => {
        $(#[doc = $sdoc])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $crate::Section for $name {
            fn schema() -> $crate::SectionSchema {
                $crate::SectionSchema {
                    doc: concat!($($sdoc),+).trim_ascii(),
                    fields: vec![$($crate::FieldSchema {
                        name: stringify!($field),
                        doc: concat!($($doc),+).trim_ascii(),
                        unit: $crate::section!(@option $($unit)?),
                        default: $crate::section!(@default $($default)?),
                        allowed: {
                            let check: Option<$crate::Check<$type>> = $crate::section!(@option $($check)?);
                            check.map(|check| check.words().to_owned())
                        },
                        shape: <$type as $crate::Setting>::shape(),
                    }),*],
                }
            }
        }

        impl $crate::Setting for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::Section(<Self as $crate::Section>::schema)
            }

            fn read(
                value: &$crate::serde_json::Value,
                place: &$crate::KeyPath,
                problems: &mut Vec<$crate::Problem>,
            ) -> Option<Self> {
                let mut table = $crate::TableReader::open(value, place, &[$(stringify!($field)),*], problems)?;
                $(let $field: Option<$type> = table.field(
                    stringify!($field),
                    $crate::section!(@default $($default)?),
                    $crate::section!(@option $($check)?),
                );)*
                Some(Self { $($field: $field?),* })
            }

            fn write(&self) -> $crate::serde_json::Value {
                let mut table = $crate::serde_json::Map::new();
                $(table.insert(stringify!($field).to_owned(), $crate::Setting::write(&self.$field));)*
                $crate::serde_json::Value::Object(table)
            }
        }
    };
    (@complete $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr $(, unit $unit:literal)? $(, check $check:expr)?;)*) => {};
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
    (@default) => { None };
    (@default $value:expr) => { Some($crate::default_value($value)) };

    ($(#[doc = $sdoc:literal])+ $vis:vis $name:ident, without default { $($body:tt)* }) => {
        $crate::section!(@schema [$($sdoc)+] $vis $name { $($body)* });
    };
    ($(#[doc = $sdoc:literal])+ $vis:vis $name:ident { $($body:tt)* }) => {
        $crate::section!(@complete $($body)*);
        $crate::section!(@schema [$($sdoc)+] $vis $name { $($body)* });

        impl Default for $name {
            fn default() -> Self {
                $crate::default_of()
            }
        }
    };
}

/// Declares a setting that takes one of a few words. `not yet` names words that are understood and refused, with the
/// reason.
#[macro_export]
macro_rules! words {
    ($(#[doc = $sdoc:literal])+ $vis:vis $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
    } $(not yet { $($later:literal => $reason:literal,)+ })?) => {
        $(#[doc = $sdoc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Every value.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it is written in a file.
            #[must_use]
            $vis fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.word())
            }
        }

        impl $crate::Setting for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::Words(&[$($word),+])
            }

            fn read(
                value: &$crate::serde_json::Value,
                place: &$crate::KeyPath,
                problems: &mut Vec<$crate::Problem>,
            ) -> Option<Self> {
                $crate::read_word(
                    value,
                    place,
                    problems,
                    &[$(($word, Self::$variant)),+],
                    &[$($(($later, $reason)),+)?],
                )
            }

            fn write(&self) -> $crate::serde_json::Value {
                $crate::serde_json::Value::from(self.word())
            }
        }
    };
}
