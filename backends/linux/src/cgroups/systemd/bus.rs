//! The way to systemd's manager: its private socket, or the bus (D-Bus Specification, "Authentication Protocol").

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{self, Call, ERROR, METHOD_RETURN, Message, PREFIX, Value};

/// How long systemd may take for anything that it is asked for.
const PATIENCE: Duration = Duration::from_secs(30);

const MANAGER: Call<'static> = Call {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "",
    arguments: &[],
};
const BUS: Call<'static> = Call {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "",
    arguments: &[],
};

/// What the private socket hears first. The manager reads 256 bytes while it awaits the end of the authentication, and forgets
/// what else is in them until more comes (sd-bus, `bus_socket_read_auth`): a short call right behind `BEGIN` may never be
/// answered. This one is longer, and every object answers it.
const PING: Call<'static> = Call {
    destination: MANAGER.destination,
    path: concat!(
        "/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long",
        "/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long",
        "/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long"
    ),
    interface: "org.freedesktop.DBus.Peer",
    member: "Ping",
    arguments: &[],
};

/// A connection to a manager of systemd.
#[derive(Debug)]
pub(super) struct Manager {
    stream: BufReader<UnixStream>,
    serial: u32,
    /// Jobs that have ended, and how, in the order in which they were told.
    ended: Vec<(String, String)>,
}

/// Why systemd did not do something.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The connection failed.
    Broken(io::Error),
    /// It said no: the error's name, and its text.
    Answered {
        /// Such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// For people.
        text: String,
    },
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Manager {
    /// The system's manager for root, the user's for others.
    ///
    /// # Errors
    /// That of the last place that was tried.
    pub(super) fn connect() -> Result<Self, Refusal> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for (path, kind) in addresses() {
            match Self::open(&path, kind) {
                Ok(manager) => return Ok(manager),
                Err(Refusal::Broken(error)) => failed = error,
                Err(refusal) => return Err(refusal),
            }
        }
        Err(failed.into())
    }

    fn open(path: &Path, kind: Kind) -> Result<Self, Refusal> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut manager = Self { stream: BufReader::new(stream), serial: 0, ended: Vec::new() };
        manager.authenticate()?;
        if kind == Kind::Private {
            manager.call(&PING)?;
        } else {
            let rule = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            manager.call(&Call { member: "Hello", ..BUS })?;
            manager.call(&Call { member: "AddMatch", arguments: &[Value::text(rule)], ..BUS })?;
            manager.call(&Call { member: "Subscribe", ..MANAGER })?;
        }
        Ok(manager)
    }

    /// By the credentials of the socket: the number is written as text, in hexadecimal digits.
    fn authenticate(&mut self) -> io::Result<()> {
        let user = rustix::process::geteuid().as_raw().to_string();
        // The digits of a decimal number are 0x30 to 0x39.
        let digits: String = user.chars().flat_map(|digit| ['3', digit]).collect();
        self.send(format!("\0AUTH EXTERNAL {digits}\r\n").as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        if !answer.starts_with("OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.send(b"BEGIN\r\n")
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Calls a method of the manager and waits for the job that it begins.
    ///
    /// # Errors
    /// What the manager answers; a job that does not end as `done` is a refusal too.
    pub(super) fn run_job(&mut self, member: &str, arguments: &[Value]) -> Result<(), Refusal> {
        let reply = self.call(&Call { member, arguments, ..MANAGER })?;
        let job = reply.first_text().ok_or(io::ErrorKind::InvalidData).map_err(io::Error::from)?;
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(ended, _)| *ended == job) {
                return match result.as_str() {
                    "done" => Ok(()),
                    result => Err(Refusal::Answered {
                        name: String::new(),
                        text: format!("the job ended as `{result}`"),
                    }),
                };
            }
            self.receive()?;
        }
    }

    /// Calls a method of the manager that begins no job.
    ///
    /// # Errors
    /// What the manager answers.
    pub(super) fn ask(&mut self, member: &str, arguments: &[Value]) -> Result<(), Refusal> {
        self.call(&Call { member, arguments, ..MANAGER }).map(drop)
    }

    fn call(&mut self, call: &Call<'_>) -> Result<Message, Refusal> {
        self.serial += 1;
        let serial = self.serial;
        self.send(&call.encode(serial))?;
        loop {
            let message = self.receive()?;
            if message.reply_to != Some(serial) {
                continue;
            }
            return match message.kind {
                METHOD_RETURN => Ok(message),
                ERROR => {
                    let text = message.first_text().unwrap_or_default();
                    Err(Refusal::Answered { name: message.error, text })
                }
                _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            };
        }
    }

    fn receive(&mut self) -> io::Result<Message> {
        let mut bytes = vec![0; PREFIX];
        self.stream.read_exact(&mut bytes).map_err(late)?;
        let prefix = bytes.first_chunk().expect("the prefix was read");
        bytes.resize(PREFIX + message::rest_length(prefix)?, 0);
        self.stream.read_exact(&mut bytes[PREFIX..]).map_err(late)?;
        let message = Message::decode(&bytes)?;
        self.ended.extend(message.job_removed());
        Ok(message)
    }
}

/// The kernel says EAGAIN when the time is up.
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "it did not answer within 30 seconds")
        }
        _ => error,
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The manager itself; it needs no greeting and tells of every job.
    Private,
    /// A bus that it has joined.
    Bus,
}

fn addresses() -> Vec<(PathBuf, Kind)> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return vec![
            ("/run/systemd/private".into(), Kind::Private),
            ("/run/dbus/system_bus_socket".into(), Kind::Bus),
        ];
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(|| format!("/run/user/{}", user.as_raw()).into(), PathBuf::from);
    vec![(runtime.join("systemd/private"), Kind::Private), (runtime.join("bus"), Kind::Bus)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A manager that says `OK`, answers the first call with a job, and ends the job before that, as it may.
    fn answering(path: &Path, result: &'static str) -> std::thread::JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            assert!(line.starts_with("\0AUTH EXTERNAL "), "{line:?}");
            stream.get_mut().write_all(b"OK 1234\r\n").unwrap();
            stream.read_line(&mut line).unwrap();
            assert!(line.ends_with("BEGIN\r\n"), "{line:?}");
            assert!(read_call(&mut stream) > 256, "it reaches beyond what is forgotten");
            stream.get_mut().write_all(&message::replies(1, "/pong", "").concat()).unwrap();
            read_call(&mut stream);
            stream.get_mut().write_all(&message::replies(2, "/job/7", result).concat()).unwrap();
        })
    }

    fn read_call(stream: &mut impl Read) -> usize {
        let mut prefix = [0; PREFIX];
        stream.read_exact(&mut prefix).unwrap();
        let mut rest = vec![0; message::rest_length(&prefix).unwrap()];
        stream.read_exact(&mut rest).unwrap();
        PREFIX + rest.len()
    }

    fn asked(name: &str, result: &'static str) -> Result<(), Refusal> {
        let path = std::env::temp_dir().join(format!("nucleus-bus-{name}-{}", std::process::id()));
        let manager = answering(&path, result);
        let outcome =
            Manager::open(&path, Kind::Private).unwrap().run_job("StopUnit", &[Value::text("a.scope")]);
        manager.join().unwrap();
        std::fs::remove_file(path).unwrap();
        outcome
    }

    #[test]
    fn a_job_that_ends_before_it_is_named_is_not_missed() {
        asked("done", "done").unwrap();
    }

    #[test]
    fn a_job_that_fails_is_a_refusal() {
        let refusal = asked("failed", "failed").unwrap_err();
        assert!(matches!(refusal, Refusal::Answered { text, .. } if text.contains("`failed`")));
    }
}
