//! Devices beyond the standard ones.

use std::path::Path;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::host::DeviceFact;
use crate::plan::tighten::is_dangerous;
use crate::plan::types::{DeviceNumber, DevicePlan};
use crate::profile::values::{FileMode, Id};
use crate::profile::{Device, Origin};

/// What is in every container's `/dev` already (config-linux.md, "Default Devices"), and what is mounted there.
const STANDARD: [&str; 15] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
    "/dev/fd",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/core",
    "/dev/shm",
    "/dev/mqueue",
];

impl Resolver<'_> {
    pub(super) fn devices(&mut self) -> (Vec<Decided<DevicePlan>>, Origin) {
        let Some(devices) = &self.profile.devices else {
            return (Vec::new(), Origin::BuiltIn("default"));
        };
        let mut plans = Vec::new();
        for (index, device) in devices.iter().enumerate() {
            let pointer = format!("/devices/{index}");
            self.refuse_place_of_device(&pointer, device.target().as_path());
            if let Some((number, mode)) = self.device_number(&pointer, device) {
                plans.push(self.decided(&pointer, plan(device, number, mode)));
            }
        }
        (plans, self.loaded.origins.of("/devices"))
    }

    /// What the device was found to be; nothing for one that may be missing, and is.
    fn device_number(&mut self, pointer: &str, device: &Device) -> Option<(DeviceNumber, u32)> {
        let shown = device.path.as_path().display();
        let (cause, hint) = match self.facts.devices.get(device.path.as_path()) {
            Some(DeviceFact::Node(number, mode)) => {
                self.refuse_danger(pointer, device, *number);
                return Some((*number, *mode));
            }
            Some(DeviceFact::Missing) | None if device.optional => return None,
            Some(DeviceFact::Missing) | None => {
                (format!("the host has no {shown}"), "load its driver, or say `optional: true`".to_owned())
            }
            Some(DeviceFact::Link(to)) => (
                format!("{shown} is a link to {}", to.display()),
                "name the device itself, and this path as its `target`".to_owned(),
            ),
            Some(DeviceFact::Other) => (format!("{shown} is no device"), "correct the path".to_owned()),
            Some(DeviceFact::Closed(why)) => (format!("{shown}: {why}"), "correct the path".to_owned()),
        };
        self.mistake(&format!("{pointer}/path"), cause, hint);
        None
    }

    fn refuse_danger(&mut self, pointer: &str, device: &Device, number: DeviceNumber) {
        let numbers = (Some(i128::from(number.major)), Some(i128::from(number.minor)));
        if !device.dangerous && is_dangerous(number.kind.letter(), numbers) {
            self.mistake(
                &format!("{pointer}/path"),
                format!("through {} the host can be reached", device.path),
                "leave it out, or add `dangerous: true` if that is what you want",
            );
        }
    }

    fn refuse_place_of_device(&mut self, pointer: &str, target: &Path) {
        let standard = STANDARD.iter().any(|place| target == Path::new(place));
        let below = ["/dev/pts", "/dev/shm", "/dev/mqueue"];
        if !target.starts_with("/dev") || target == Path::new("/dev") {
            self.mistake(
                pointer,
                format!("{} does not lie in /dev, where the devices of a container are", target.display()),
                "add a `target` such as /dev/NAME",
            );
        } else if standard || below.iter().any(|place| target.starts_with(place)) {
            self.mistake(
                pointer,
                format!("{} belongs to the runtime", target.display()),
                "leave the device out if it is a standard one, or choose another `target`",
            );
        }
    }
}

fn plan(device: &Device, number: DeviceNumber, mode: u32) -> DevicePlan {
    DevicePlan {
        source: device.path.as_path().to_owned(),
        target: device.target().as_path().to_owned(),
        number,
        access: device.access.to_string(),
        mode: device.mode.map_or(mode, FileMode::bits),
        uid: device.uid.map_or(0, Id::as_u32),
        gid: device.gid.map_or(0, Id::as_u32),
    }
}
