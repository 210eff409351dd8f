//! Messages of D-Bus, as far as systemd's manager needs them (D-Bus Specification, "Message Protocol").

use std::io;

/// A value of a property, or an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `s`
    Text(String),
    /// `b`
    Truth(bool),
    /// `t`
    Number(u64),
    /// `au`
    Words(Vec<u32>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `a(sv)`
    Properties(Vec<Property>),
    /// `a(sa(sv))`, which is always empty here: units to start along.
    NoUnits,
}

/// A property of a unit, by its name in `org.freedesktop.systemd1(5)`.
pub(super) type Property = (&'static str, Value);

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    const fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Truth(_) => "b",
            Self::Number(_) => "t",
            Self::Words(_) => "au",
            Self::Bytes(_) => "ay",
            Self::Properties(_) => "a(sv)",
            Self::NoUnits => "a(sa(sv))",
        }
    }
}

/// A call of a method.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    pub(super) member: &'a str,
    pub(super) arguments: &'a [Value],
}

/// Kinds of messages.
const METHOD_CALL: u8 = 1;
pub(super) const METHOD_RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// Fields of the header.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SIGNATURE: u8 = 8;
}

impl Call<'_> {
    /// The message in the byte order of this machine.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        self.arguments.iter().for_each(|argument| body.value(argument));
        let signature: String = self.arguments.iter().map(Value::signature).collect();
        let mut message = Writer::default();
        message.bytes.extend([ENDIANNESS, METHOD_CALL, 0, 1]);
        message.word(length(&body.bytes));
        message.word(serial);
        message.array(8, |fields| {
            fields.field(field::PATH, "o", |value| value.text(self.path));
            fields.field(field::INTERFACE, "s", |value| value.text(self.interface));
            fields.field(field::MEMBER, "s", |value| value.text(self.member));
            fields.field(field::DESTINATION, "s", |value| value.text(self.destination));
            fields.field(field::SIGNATURE, "g", |value| value.signature(&signature));
        });
        message.align(8);
        message.bytes.extend(body.bytes);
        message.bytes
    }
}

const ENDIANNESS: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// Nothing here comes near the format's 128 MiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a message of a few kilobytes")
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn word(&mut self, word: u32) {
        self.align(4);
        self.bytes.extend(word.to_ne_bytes());
    }

    fn text(&mut self, text: &str) {
        self.word(length(text.as_bytes()));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).expect("a signature of some letters"));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// The length counts from the first element, not from the padding before it.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.word(0);
        let place = self.bytes.len() - 4;
        self.align(alignment);
        let first = self.bytes.len();
        elements(self);
        let length = length(&self.bytes[first..]);
        self.bytes[place..place + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn field(&mut self, code: u8, signature: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.bytes.push(code);
        self.signature(signature);
        value(self);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Truth(truth) => self.word(u32::from(*truth)),
            Value::Number(number) => {
                self.align(8);
                self.bytes.extend(number.to_ne_bytes());
            }
            Value::Words(words) => self.array(4, |array| words.iter().for_each(|word| array.word(*word))),
            Value::Bytes(bytes) => self.array(1, |array| array.bytes.extend(bytes)),
            Value::Properties(properties) => self.array(8, |array| {
                for (name, value) in properties {
                    array.align(8);
                    array.text(name);
                    array.signature(value.signature());
                    array.value(value);
                }
            }),
            Value::NoUnits => self.array(8, |_| {}),
        }
    }
}

/// A message that came in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// Which call it answers.
    pub(super) reply_to: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) signature: String,
    body: Vec<u8>,
}

/// How long the fixed part is that tells how long the message is.
pub(super) const PREFIX: usize = 16;

/// How many bytes follow the prefix.
///
/// # Errors
/// `InvalidData` for what is no message of this machine's byte order.
pub(super) fn rest_length(prefix: &[u8; PREFIX]) -> io::Result<usize> {
    let mut reader = Reader { bytes: prefix, at: 4 };
    let (body, _, fields) = (reader.word()?, reader.word()?, reader.word()?);
    let whole = (PREFIX + usize_of(fields)).next_multiple_of(8) + usize_of(body);
    match prefix[0] {
        // The format's own bound is 128 MiB; replies of systemd are some hundred bytes.
        ENDIANNESS if whole <= 1 << 20 => Ok(whole - PREFIX),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn usize_of(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX / 4)
}

impl Message {
    /// Reads a whole message.
    ///
    /// # Errors
    /// `InvalidData` where it ends before its time.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut reader = Reader { bytes, at: 12 };
        let mut message = Self { kind: *bytes.get(1).ok_or(io::ErrorKind::InvalidData)?, ..Self::default() };
        let end = PREFIX + usize_of(reader.word()?);
        while reader.at < end {
            reader.align(8);
            let code = reader.byte()?;
            match (code, reader.signature()?.as_str()) {
                (field::REPLY_SERIAL, "u") => message.reply_to = Some(reader.word()?),
                (field::MEMBER, "s") => message.member = reader.text()?,
                (field::ERROR_NAME, "s") => message.error = reader.text()?,
                (field::SIGNATURE, "g") => message.signature = reader.signature()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.word()?),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        reader.at = end.next_multiple_of(8);
        let body = bytes.get(reader.at..).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { body: body.to_owned(), ..message })
    }

    /// The first argument, where it is text or a path.
    pub(super) fn first_text(&self) -> Option<String> {
        self.signature.starts_with(['s', 'o']).then(|| Reader { bytes: &self.body, at: 0 }.text().ok())?
    }

    /// Path and result of `JobRemoved(u id, o job, s unit, s result)`.
    pub(super) fn job_removed(&self) -> Option<(String, String)> {
        if self.kind != SIGNAL || self.member != "JobRemoved" || self.signature != "uoss" {
            return None;
        }
        let mut reader = Reader { bytes: &self.body, at: 4 };
        let (job, _unit, result) = (reader.text().ok()?, reader.text().ok()?, reader.text().ok()?);
        Some((job, result))
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> io::Result<&[u8]> {
        let end = self.at.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
        let taken = self.bytes.get(self.at..end).ok_or(io::ErrorKind::InvalidData)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?;
        Ok(u32::from_ne_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    fn text(&mut self) -> io::Result<String> {
        let length = usize_of(self.word()?);
        self.terminated(length)
    }

    fn signature(&mut self) -> io::Result<String> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> io::Result<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte().map(|_| text)
    }
}

/// What a manager sends when a job ends before its call is answered. For tests.
#[cfg(test)]
pub(super) fn replies(serial: u32, job: &str, result: &str) -> [Vec<u8>; 2] {
    let mut signal = Writer::default();
    signal.word(7);
    for text in [job, "a.scope", result] {
        signal.text(text);
    }
    let mut reply = Writer::default();
    reply.text(job);
    let removed = |fields: &mut Writer| {
        fields.field(field::PATH, "o", |value| value.text("/org/freedesktop/systemd1"));
        fields.field(field::MEMBER, "s", |value| value.text("JobRemoved"));
        fields.field(field::SIGNATURE, "g", |value| value.signature("uoss"));
    };
    let answered = |fields: &mut Writer| {
        fields.field(field::REPLY_SERIAL, "u", |value| value.word(serial));
        fields.field(field::SIGNATURE, "g", |value| value.signature("o"));
    };
    [incoming(SIGNAL, removed, &signal.bytes), incoming(METHOD_RETURN, answered, &reply.bytes)]
}

#[cfg(test)]
fn incoming(kind: u8, fields: impl FnOnce(&mut Writer), body: &[u8]) -> Vec<u8> {
    let mut message = Writer::default();
    message.bytes.extend([ENDIANNESS, kind, 0, 1]);
    message.word(length(body));
    message.word(99);
    message.array(8, fields);
    message.align(8);
    message.bytes.extend(body);
    message.bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StopUnit",
        arguments: &[],
    };

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let arguments = [Value::text("a.scope"), Value::text("replace")];
        let message = Call { arguments: &arguments, ..CALL }.encode(7);
        assert_eq!(&message[..4], [ENDIANNESS, 1, 0, 1]);
        let word = |at: usize| u32::from_ne_bytes(message[at..at + 4].try_into().unwrap());
        // 4 + "a.scope" + 0, which fills up to 12; 4 + "replace" + 0.
        assert_eq!((word(4), word(8)), (24, 7), "length of the body, serial");
        assert_eq!(message.len(), 16 + usize_of(word(12)).next_multiple_of(8) + 24);
        assert_eq!(&message[message.len() - 8..], b"replace\0");
        assert_eq!(&message[16..26], b"\x01\x01o\0\x19\0\0\0/o", "the path comes first, with its length");
    }

    #[test]
    fn properties_are_aligned() {
        let mut writer = Writer::default();
        writer
            .value(&Value::Properties(vec![("PIDs", Value::Words(vec![5])), ("TasksMax", Value::Number(9))]));
        let mut expected: Vec<u8> = Vec::new();
        expected.extend(48_u32.to_ne_bytes());
        expected.extend([0; 4]);
        expected.extend(4_u32.to_ne_bytes());
        expected.extend(b"PIDs\0\x02au\0\0\0\0");
        expected.extend(4_u32.to_ne_bytes());
        expected.extend(5_u32.to_ne_bytes());
        expected.extend(8_u32.to_ne_bytes());
        expected.extend(b"TasksMax\0\x01t\0");
        expected.extend(9_u64.to_ne_bytes());
        assert_eq!(writer.bytes, expected);
    }

    #[test]
    fn replies_and_signals_are_read() {
        let [bytes, reply] = replies(3, "/job/4", "done");
        assert_eq!(rest_length(bytes[..PREFIX].try_into().unwrap()).unwrap(), bytes.len() - PREFIX);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.job_removed(), Some(("/job/4".to_owned(), "done".to_owned())));
        assert_eq!(message.first_text(), None);
        let message = Message::decode(&reply).unwrap();
        assert_eq!((message.reply_to, message.first_text()), (Some(3), Some("/job/4".to_owned())));
        assert_eq!(message.job_removed(), None);
    }

    #[test]
    fn what_ends_before_its_time_is_an_error() {
        let bytes = incoming(
            ERROR,
            |fields| {
                fields.field(field::REPLY_SERIAL, "u", |value| value.word(3));
                fields.field(field::ERROR_NAME, "s", |value| value.text("org.x.No"));
            },
            b"",
        );
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.reply_to, message.error.as_str()), (ERROR, Some(3), "org.x.No"));
        for end in 1..bytes.len() - 8 {
            assert!(Message::decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(rest_length(&[0xff; PREFIX]).is_err());
    }
}
