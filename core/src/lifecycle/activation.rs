//! Sockets that a service manager opened for the workload (`sd_listen_fds(3)`).

use nucleus_abi::{Error, ErrorCode, Result};

/// What the service manager passes on: descriptors from 3, and the variables that tell of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    /// How many descriptors, from 3 on.
    pub descriptors: u16,
    /// The variables for the workload. It is process 1 of its pid namespace, as its `LISTEN_PID` says.
    pub environment: Vec<String>,
}

impl Activation {
    /// What this process was given. Variables that are meant for another process are none of ours.
    ///
    /// # Errors
    /// `invalid-argument` for a count that is no number.
    pub fn of_this_process() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::of(variable, std::process::id())
    }

    fn of(variable: impl Fn(&str) -> Option<String>, own: u32) -> Result<Self> {
        let Some(count) = variable("LISTEN_FDS") else { return Ok(Self::default()) };
        if variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) != Some(own) {
            return Ok(Self::default());
        }
        let descriptors = count.parse().map_err(|error| {
            Error::new(ErrorCode::InvalidArgument, "take over the sockets of the service manager")
                .on(format!("LISTEN_FDS={count}"))
                .because(error)
        })?;
        let names = variable("LISTEN_FDNAMES").map(|names| format!("LISTEN_FDNAMES={names}"));
        let told = [format!("LISTEN_FDS={descriptors}"), "LISTEN_PID=1".to_owned()];
        Ok(Self { descriptors, environment: told.into_iter().chain(names).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Activation> {
        let find =
            |name: &str| variables.iter().find(|(its, _)| *its == name).map(|(_, value)| (*value).to_owned());
        Activation::of(find, 7)
    }

    #[test]
    fn only_what_is_meant_for_this_process_is_taken() {
        assert_eq!(of(&[("LISTEN_PID", "7")]), Ok(Activation::default()));
        assert_eq!(of(&[("LISTEN_FDS", "2")]), Ok(Activation::default()));
        assert_eq!(of(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "8")]), Ok(Activation::default()));
        let taken = of(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "7"), ("LISTEN_FDNAMES", "a:b")]).unwrap();
        assert_eq!(taken.descriptors, 2);
        assert_eq!(taken.environment, ["LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"]);
        assert!(of(&[("LISTEN_FDS", "-1"), ("LISTEN_PID", "7")]).is_err());
    }
}
