//! [`Notes`]: the tools. Each checks its scopes before it does anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::request::Parts;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::schemars::{self, JsonSchema};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;
use tower_jwt_auth::{Require, VerifiedToken};

use crate::refusal::caller;

/// The scope that a client without a token is told to request, which is enough to begin with.
pub(crate) const FIRST_SCOPE: &str = "notes:read";
pub(crate) const SCOPES: [&str; 2] = ["notes:read", "notes:write"];

const MOST_NOTES: usize = 100;
const MOST_OWNERS: usize = 1000;
const MOST_BYTES: usize = 1000;

/// Each user's notes, until the process ends.
#[derive(Clone)]
pub(crate) struct Notes {
    by_owner: Arc<Mutex<HashMap<Owner, Vec<String>>>>,
    read: Require,
    write: Require,
}

/// The identity of a user is the issuer together with the subject: a subject alone is unique only at its
/// issuer.
#[derive(PartialEq, Eq, Hash)]
struct Owner {
    issuer: String,
    subject: String,
}

/// The arguments of `add_note`.
#[derive(Deserialize, JsonSchema)]
struct NewNote {
    /// The text of the note, at most 1000 bytes.
    text: String,
}

impl Notes {
    pub(crate) fn new() -> Self {
        Self {
            by_owner: Arc::default(),
            read: Require::scope("notes:read"),
            // The challenge names both, because a client may request exactly what it names, and needs
            // `notes:read` as well.
            write: Require::all_scopes(["notes:read", "notes:write"]),
        }
    }
}

#[tool_router]
impl Notes {
    #[tool(description = "Returns the user who is logged in, and the scopes of the token.")]
    async fn who_am_i(&self, Extension(parts): Extension<Parts>) -> Result<String, String> {
        let token = caller(&parts, &Require::token())?;
        let scopes: Vec<&str> = token.scopes().collect();
        let subject = token.subject().unwrap_or("nobody");
        Ok(format!("{subject}, with the scopes: {}", scopes.join(" ")))
    }

    #[tool(description = "Lists your notes.")]
    async fn list_notes(&self, Extension(parts): Extension<Parts>) -> Result<String, String> {
        let owner = Owner::of(caller(&parts, &self.read)?)?;
        let notes = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = notes.get(&owner).map(|notes| notes.join("\n"));
        Ok(notes.unwrap_or_else(|| "There are no notes yet.".to_owned()))
    }

    #[tool(description = "Adds a note.")]
    async fn add_note(
        &self,
        Parameters(NewNote { text }): Parameters<NewNote>,
        Extension(parts): Extension<Parts>,
    ) -> Result<String, String> {
        let owner = Owner::of(caller(&parts, &self.write)?)?;
        if text.len() > MOST_BYTES {
            return Err(format!("the note is longer than {MOST_BYTES} bytes"));
        }
        let mut notes = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= MOST_OWNERS && !notes.contains_key(&owner) {
            return Err("this server has no room for another user's notes".to_owned());
        }
        let notes = notes.entry(owner).or_default();
        if notes.len() >= MOST_NOTES {
            return Err(format!("you have {MOST_NOTES} notes already"));
        }
        notes.push(text);
        Ok(format!("Added. There are {} notes.", notes.len()))
    }
}

#[tool_handler]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions("Keeps notes for the user who is logged in.")
    }
}

// === impl Owner ===

impl Owner {
    fn of(token: &VerifiedToken) -> Result<Self, String> {
        match (token.issuer(), token.subject()) {
            (Some(issuer), Some(subject)) => Ok(Self {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            }),
            _ => Err("the access token has no issuer or no subject".to_owned()),
        }
    }
}
