//! Values that are written as text and checked once, where they are parsed.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

mod bounded;
mod capability;
mod clock;
mod cpus;
mod device;
mod device_access;
mod digest;
mod field;
mod index_set;
mod limit;
mod mode;
mod names;
mod network;
mod paths;
mod pattern;
mod rlimit;
mod signer;
mod size;
mod sysctl;
mod upper_layer;
mod user;

pub use bounded::Bounded;
pub use capability::CapabilityName;
pub use clock::Duration;
pub use cpus::Cpus;
pub use device::DeviceRef;
pub use device_access::DeviceAccess;
pub use digest::Sha256;
pub use field::FieldName;
pub use index_set::IndexSet;
pub use limit::Limit;
pub use mode::FileMode;
pub use names::{BackendName, EnvName, FileName, FileSystemName, HostName, PluginName};
pub use network::{
    Cidr, ContainerName, IpAddress, MacAddress, NetworkName, PortRange, Ports, Protocol, Publish,
};
pub use paths::{AbsolutePath, HostPath};
pub use pattern::PathPattern;
pub use rlimit::{Rlimit, RlimitName, RlimitValue};
pub use signer::PublicKey;
pub use size::ByteSize;
pub use sysctl::{SysctlName, SysctlValue};
pub use upper_layer::UpperLayer;
pub use user::{GroupRef, Id, UserRef, UserSpec};

/// Why a text is not a value of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    reason: Cow<'static, str>,
}

impl BadValue {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for BadValue {}

/// A value with a textual form: what the schema, the deserialiser and the diagnostics must know about it.
pub(super) trait Textual: FromStr<Err = BadValue> + Display {
    /// The `format` of the JSON Schema; the diagnostics find the parser by it.
    const FORMAT: &'static str;
    /// What a wrong type is told: "a size such as 512M".
    const EXPECTED: &'static str;
    /// A regular expression (ECMA 262) for editors; the parser has the last word.
    const PATTERN: &'static str;
    /// Which YAML scalars may stand for it.
    const ACCEPTS: Accepts;
}

/// Which YAML scalars may stand for a textual value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    Text,
    TextOrInteger,
    TextOrNumber,
}

impl Accepts {
    /// The `type` of the JSON Schema.
    pub(super) fn json_types(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["string"],
            Self::TextOrInteger => &["string", "integer"],
            Self::TextOrNumber => &["string", "number"],
        }
    }
}

/// Reads a [`Textual`] value from any scalar that it accepts.
pub(super) struct TextualVisitor<T>(pub(super) std::marker::PhantomData<T>);

impl<T: Textual> serde::de::Visitor<'_> for TextualVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        match T::ACCEPTS {
            Accepts::Text => Err(E::invalid_type(serde::de::Unexpected::Signed(number), &self)),
            Accepts::TextOrInteger | Accepts::TextOrNumber => self.visit_str(&number.to_string()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        match T::ACCEPTS {
            Accepts::Text => Err(E::invalid_type(serde::de::Unexpected::Unsigned(number), &self)),
            Accepts::TextOrInteger | Accepts::TextOrNumber => self.visit_str(&number.to_string()),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        match T::ACCEPTS {
            Accepts::Text | Accepts::TextOrInteger => {
                Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
            }
            Accepts::TextOrNumber => self.visit_str(&number.to_string()),
        }
    }
}

/// The three implementations that follow from [`Textual`] and that Rust's coherence rules keep us from writing once.
macro_rules! textual {
    ($type:ty, $name:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_any($crate::profile::values::TextualVisitor(std::marker::PhantomData))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::profile::values::textual_schema::<$type>()
            }
        }
    };
}
use textual;

pub(super) fn textual_schema<T: Textual>() -> schemars::Schema {
    schemars::json_schema!({
        "type": T::ACCEPTS.json_types(),
        "format": T::FORMAT,
        "pattern": T::PATTERN,
    })
}
