//! The registry of plugins: those linked into this program. The core knows them by their descriptions alone.

use nucleus_abi::{Client, Error, ErrorCode, Kind, Result, SCHEMA, linked_plugins};

use super::lookup::Lookup;
use crate::profile::Plugins;

/// Every backend that this program can call.
#[derive(Debug, Clone)]
pub struct Registry {
    backends: Vec<Client>,
}

impl Registry {
    /// The plugins that are linked into this program.
    ///
    /// # Errors
    /// `protocol` for a plugin that cannot describe itself or reads other documents than we write; two of one id.
    pub fn linked() -> Result<Self> {
        let clients = linked_plugins().map(Client::new).collect::<Result<Vec<_>>>()?;
        Self::of(clients)
    }

    /// A registry of the given plugins.
    ///
    /// # Errors
    /// As for [`Registry::linked`].
    pub fn of(clients: Vec<Client>) -> Result<Self> {
        clients.iter().try_for_each(check_schema)?;
        let mut backends: Vec<Client> =
            clients.into_iter().filter(|client| client.description().kind == Kind::Backend).collect();
        // By rank, then by name: `auto` and listings must not depend on the order in which the linker placed them.
        backends.sort_by(|a, b| {
            let (a, b) = (a.description(), b.description());
            b.rank.cmp(&a.rank).then_with(|| a.id.cmp(&b.id))
        });
        match backends.windows(2).find(|pair| pair[0].description().id == pair[1].description().id) {
            Some(pair) => Err(Error::new(ErrorCode::Protocol, "register the backend")
                .on(&pair[0].description().id)
                .because("two plugins have this id")),
            None => Ok(Self { backends }),
        }
    }

    /// The backends, best rank first.
    pub fn backends(&self) -> &[Client] {
        &self.backends
    }

    /// The backend that is taken where nobody names one.
    ///
    /// # Errors
    /// `backend-not-found` when none may be taken unasked.
    pub fn best(&self) -> Result<&Client> {
        self.backends.first().filter(|client| client.description().rank >= 0).ok_or_else(|| {
            Error::new(ErrorCode::BackendNotFound, "choose a backend")
                .because("this program was built without any")
        })
    }

    /// The backend of this name.
    ///
    /// # Errors
    /// `backend-not-found`, naming those that there are.
    pub fn backend(&self, name: &str) -> Result<&Client> {
        self.linked_in(name).ok_or_else(|| self.unknown(name))
    }

    /// The backend that a profile names: one that is linked in, or else one that is loaded from its file.
    ///
    /// # Errors
    /// `backend-not-found`, `plugin-refused`, and the rest that loading says.
    pub fn named(&self, name: &str, profile: &Plugins) -> Result<Client> {
        if let Some(client) = self.linked_in(name) {
            return Ok(client.clone());
        }
        let loaded = Lookup::new(Some(profile))?.backend(name);
        let client = loaded.map_err(|error| match error.code {
            ErrorCode::BackendNotFound => self.nowhere(name, error),
            _ => error,
        })?;
        check_schema(&client)?;
        Ok(client)
    }

    /// Nobody has it: the reason names both places.
    fn nowhere(&self, name: &str, no_file: Error) -> Error {
        let unknown = self.unknown(name);
        let causes = [unknown.cause.clone(), no_file.cause].into_iter().flatten().collect::<Vec<_>>();
        unknown.because(causes.join("; "))
    }

    fn linked_in(&self, name: &str) -> Option<&Client> {
        self.backends.iter().find(|client| client.description().id == name)
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.backends.iter().map(|client| client.description().id.as_str()).collect();
        let nearest = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), *known))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, known)| format!("did you mean `{known}`?"));
        let error = Error::new(ErrorCode::BackendNotFound, "find the backend")
            .on(name)
            .because(format!("the backends of this program are: {}", known.join(", ")));
        match nearest {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn check_schema(client: &Client) -> Result<()> {
    let description = client.description();
    let (oldest, newest) = description.schemas;
    if (oldest..=newest).contains(&SCHEMA) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Protocol, "use the plugin")
        .on(&description.id)
        .because(format!(
            "it reads documents of schema {oldest} to {newest}, this nucleus writes schema {SCHEMA}"
        ))
        .hint("take a release of the plugin made for this nucleus"))
}
