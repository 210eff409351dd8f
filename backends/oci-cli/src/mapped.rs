//! Id maps of `config.json`, for mounts whose owners are shown by other ids.

use nucleus_abi::Result;
use nucleus_linux::fault::invalid;
use nucleus_sys::id_map::{IdMap, IdMapping};
use serde_json::{Map, Value};

/// Both maps of a mount.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) users: IdMap,
    pub(crate) groups: IdMap,
}

/// The mount's own maps, or else those of the container (config.md, "Mounts", `uidMappings`).
pub(crate) fn of(mount: &Map<String, Value>, linux: &Value, index: usize) -> Result<Ids> {
    let map = |key: &str| {
        let own = mount.get(key);
        let lines = own.or_else(|| linux.get(key)).and_then(Value::as_array);
        let field = format!("mounts[{index}].{key}");
        let lines =
            lines.ok_or_else(|| invalid(&field, "the mount is id-mapped, and nothing says by which ids"))?;
        let lines: Option<Vec<IdMapping>> = lines.iter().map(line).collect();
        let lines = lines.ok_or_else(|| invalid(&field, "a line lacks containerID, hostID or size"))?;
        IdMap::new(lines).map_err(|error| invalid(&field, error))
    };
    Ok(Ids { users: map("uidMappings")?, groups: map("gidMappings")? })
}

fn line(line: &Value) -> Option<IdMapping> {
    let number = |key: &str| u32::try_from(line.get(key)?.as_u64()?).ok();
    Some(IdMapping { container: number("containerID")?, host: number("hostID")?, size: number("size")? })
}
