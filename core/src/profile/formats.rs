//! The parsers behind the `format`s of the schema, so that diagnostics can say what each of them would.

use super::values::{
    AbsolutePath, Accepts, BackendName, BadValue, ByteSize, CapabilityName, Cidr, ContainerName, Cpus,
    DeviceAccess, DeviceRef, Duration, EnvName, FieldName, FileMode, FileName, FileSystemName, HostName,
    HostPath, IndexSet, IpAddress, MacAddress, NetworkName, PathPattern, PluginName, Ports, PublicKey,
    Publish, RlimitName, RlimitValue, Sha256, SysctlName, SysctlValue, Textual, UpperLayer, UserSpec,
};

/// A type with a textual form, as the diagnostics see it.
pub(super) struct Format {
    name: &'static str,
    /// "a size such as 512M"
    pub(super) expected: &'static str,
    pub(super) accepts: Accepts,
    pub(super) check: fn(&str) -> Result<(), BadValue>,
}

impl Format {
    const fn of<T: Textual>() -> Self {
        Self {
            name: T::FORMAT,
            expected: T::EXPECTED,
            accepts: T::ACCEPTS,
            check: |text| text.parse::<T>().map(drop),
        }
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}

static FORMATS: [Format; 33] = [
    Format::of::<AbsolutePath>(),
    Format::of::<BackendName>(),
    Format::of::<ByteSize>(),
    Format::of::<CapabilityName>(),
    Format::of::<Cidr>(),
    Format::of::<ContainerName>(),
    Format::of::<Cpus>(),
    Format::of::<DeviceAccess>(),
    Format::of::<DeviceRef>(),
    Format::of::<Duration>(),
    Format::of::<EnvName>(),
    Format::of::<FieldName>(),
    Format::of::<FileMode>(),
    Format::of::<FileName>(),
    Format::of::<FileSystemName>(),
    Format::of::<HostName>(),
    Format::of::<HostPath>(),
    Format::of::<IndexSet>(),
    Format::of::<IpAddress>(),
    Format::of::<MacAddress>(),
    Format::of::<NetworkName>(),
    Format::of::<PathPattern>(),
    Format::of::<PluginName>(),
    Format::of::<Ports>(),
    Format::of::<PublicKey>(),
    Format::of::<Publish>(),
    Format::of::<RlimitName>(),
    Format::of::<RlimitValue>(),
    Format::of::<Sha256>(),
    Format::of::<SysctlName>(),
    Format::of::<SysctlValue>(),
    Format::of::<UpperLayer>(),
    Format::of::<UserSpec>(),
];
