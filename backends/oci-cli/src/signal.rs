//! `signal`: sent by the runtime, for what it calls the first process need not be one of the host's.

use nucleus_abi::{Done, Error, ErrorCode, Result, SignalRequest, SignalTarget};
use nucleus_sys::signal::Signal;

use crate::call::Call;
use crate::place::Place;
use crate::state::{is_alive, living};

/// [`nucleus_abi::Backend::signal`].
///
/// # Errors
/// `invalid-argument` for what is no signal; `wrong-state` when there is no process to send it to.
pub fn signal(request: &SignalRequest) -> Result<Done> {
    const STEP: &str = "send a signal";
    Signal::from_number(request.signal).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, STEP).on(request.signal).because("there is no such signal")
    })?;
    let place = Place::of(&request.directory);
    let (record, first) = living((&request.id, &place), STEP)?;
    let all = matches!(request.target, SignalTarget::All).then_some("--all");
    let number = request.signal.to_string();
    let words = all.into_iter().chain([request.id.as_str(), number.as_str()]);
    match Call::new(&record, &place, "kill").words(words).run(request.id.as_str()) {
        Ok(_) => Ok(Done::default()),
        Err(error) if is_alive(first, &request.id)? => Err(error),
        Err(_) => Err(Error::new(ErrorCode::WrongState, STEP)
            .on(&request.id)
            .because("its first process has ended")),
    }
}
