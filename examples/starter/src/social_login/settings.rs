//! [`ProviderSettings`]: the providers at which users may log in, from environment variables.

use std::collections::BTreeSet;
use std::{env, fmt, fs};

use url::Url;

use crate::config::is_this_machine;
use crate::config::variable;
use crate::error::Error;

const PREFIX: &str = "LOGIN_";
const CLIENT_ID: &str = "CLIENT_ID";
const CLIENT_SECRET: &str = "CLIENT_SECRET";
const CLIENT_SECRET_FILE: &str = "CLIENT_SECRET_FILE";
const ISSUER: &str = "ISSUER";
const KIND: &str = "KIND";
const NAME: &str = "NAME";
/// What may follow the name of a provider in a variable.
const PARTS: [&str; 6] = [
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    ISSUER,
    KIND,
    NAME,
];
const MAX_PROVIDERS: usize = 20;
const MAX_ID_CHARS: usize = 32;
/// Names that other ways to log in use under the same path.
const RESERVED: [&str; 4] = ["passkey", "passkeys", "secondfactor", "sms"];
const GITHUB: &str = "https://github.com";

/// A provider at which users may log in.
#[derive(Clone)]
pub struct ProviderSettings {
    /// The name in paths and variables: lower-case letters and digits.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The issuer, exactly as its metadata spells it. For GitHub, the address of its site.
    pub issuer: String,
    /// The protocol of the provider.
    pub kind: ProviderKind,
    /// The id of this service at the provider.
    pub client_id: String,
    /// The secret of this service at the provider.
    pub client_secret: String,
}

/// The protocol of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect, with discovery.
    OpenId,
    /// GitHub, or GitHub Enterprise Server: OAuth 2.0 and an API.
    GitHub,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    /// Reads `LOGIN_NAME_ISSUER`, `LOGIN_NAME_CLIENT_ID`, `LOGIN_NAME_CLIENT_SECRET` (or `..._FILE`), and
    /// the optional `LOGIN_NAME_NAME` and `LOGIN_NAME_KIND`, for every `NAME`.
    ///
    /// # Errors
    ///
    /// Fails if a variable is missing, unknown or invalid, or if a file with a secret cannot be read or can be read by
    /// others.
    pub(crate) fn all_from_env() -> Result<Vec<Self>, Error> {
        let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut words = BTreeSet::new();
        for name in names {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let part = PARTS
                .into_iter()
                .find_map(|part| rest.strip_suffix(part)?.strip_suffix('_'));
            let word = part.ok_or_else(|| {
                format!("{name} is not a variable of this service: LOGIN_NAME_ must be followed by one of {}", PARTS.join(", "))
            })?;
            if variable(&name)?.is_some() {
                words.insert(word.to_owned());
            }
        }
        words.iter().map(|word| Self::from_env(word)).collect()
    }

    fn from_env(word: &str) -> Result<Self, Error> {
        let name = |part: &str| format!("{PREFIX}{word}_{part}");
        let required = |part: &str| {
            let name = name(part);
            variable(&name)?.ok_or_else(|| Error::from(format!("{name} is not set")))
        };
        let issuer = required(ISSUER)?;
        let kind = match variable(&name(KIND))?.as_deref() {
            Some("github") => ProviderKind::GitHub,
            Some("openid") => ProviderKind::OpenId,
            None if issuer.trim_end_matches('/') == GITHUB => ProviderKind::GitHub,
            None => ProviderKind::OpenId,
            Some(_) => return Err(format!("{} must be openid or github", name(KIND)).into()),
        };
        let secret = name(CLIENT_SECRET);
        Ok(Self {
            name: variable(&name(NAME))?.unwrap_or_else(|| spoken(word)),
            id: word.to_ascii_lowercase(),
            issuer,
            kind,
            client_id: required(CLIENT_ID)?,
            client_secret: secret_of(&secret)?
                .ok_or_else(|| format!("neither {secret} nor {secret}_FILE is set"))?,
        })
    }

    /// Returns what is wrong with the settings, if anything.
    fn problem(&self) -> Option<String> {
        let Self { id, issuer, .. } = self;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if id.is_empty() || id.len() > MAX_ID_CHARS || !id.bytes().all(plain) {
            return Some(format!(
                "the name of a provider must have 1 to {MAX_ID_CHARS} letters and digits, as in \
                 LOGIN_GOOGLE_ISSUER, and {id:?} does not"
            ));
        }
        if RESERVED.contains(&id.as_str()) {
            return Some(format!(
                "the name {id} of a provider is reserved: choose another name"
            ));
        }
        match Url::parse(issuer) {
            Ok(url) if is_safe(&url) && url.query().is_none() && url.fragment().is_none() => None,
            _ => Some(format!(
                "the issuer of {id} must start with https:// and have no query, but it is {issuer:?}"
            )),
        }
    }
}

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Fails if there are too many providers, two with the same name or issuer, or an invalid one.
pub(super) fn check(providers: &[ProviderSettings]) -> Result<(), Error> {
    if providers.len() > MAX_PROVIDERS {
        return Err(
            format!("there are more than {MAX_PROVIDERS} login providers: remove some").into(),
        );
    }
    for (number, provider) in providers.iter().enumerate() {
        if let Some(problem) = provider.problem() {
            return Err(problem.into());
        }
        for other in providers.iter().take(number) {
            if other.id == provider.id || other.issuer == provider.issuer {
                let (one, other) = (&provider.id, &other.id);
                return Err(format!(
                    "the providers {other} and {one} have the same name or issuer: remove one of them"
                )
                .into());
            }
        }
    }
    Ok(())
}

/// Returns whether nobody on the way can read or change what is sent to this URL: it is https, or on this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => !host.is_empty(),
        "http" => is_this_machine(host),
        _ => false,
    }
}

/// Returns the name of a provider as people write it, such as `Google` for `GOOGLE`.
fn spoken(word: &str) -> String {
    if word.eq_ignore_ascii_case("github") {
        return "GitHub".to_owned();
    }
    let lower = word.to_ascii_lowercase();
    let mut chars = lower.chars();
    chars.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), chars.as_str())
    })
}

/// Reads a secret from a variable, or from a file that others cannot read.
fn secret_of(name: &str) -> Result<Option<String>, Error> {
    let in_file = format!("{name}_FILE");
    match (variable(name)?, variable(&in_file)?) {
        (Some(_), Some(_)) => {
            Err(format!("{name} and {in_file} are both set: set one of them").into())
        }
        (Some(secret), None) => Ok(Some(secret)),
        (None, None) => Ok(None),
        (None, Some(file)) => {
            check_mode(&in_file, &file)?;
            let text = fs::read_to_string(&file)
                .map_err(|error| format!("{in_file}: cannot read {file}: {error}"))?;
            match text.trim() {
                "" => Err(format!("{in_file}: the file {file} is empty").into()),
                secret => Ok(Some(secret.to_owned())),
            }
        }
    }
}

#[cfg(unix)]
fn check_mode(name: &str, file: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(file) {
        Ok(about) if about.permissions().mode() & 0o027 != 0 => {
            Err(format!("{name}: others can use {file}: run `chmod 600` on it").into())
        }
        _ => Ok(()), // the next step reports a file that cannot be read
    }
}

#[cfg(not(unix))]
fn check_mode(_: &str, _: &str) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(id: &str, issuer: &str) -> ProviderSettings {
        ProviderSettings {
            id: id.to_owned(),
            name: spoken(id),
            issuer: issuer.to_owned(),
            kind: ProviderKind::OpenId,
            client_id: "client".to_owned(),
            client_secret: "a secret".to_owned(),
        }
    }

    #[test]
    fn a_provider_needs_a_plain_name_and_a_safe_issuer() {
        for (id, issuer, good) in [
            ("google", "https://accounts.google.com", true),
            ("1", "https://idp.example/realms/main", true),
            ("here", "http://127.0.0.1:4000", true),
            ("here", "http://localhost:4000", true),
            ("there", "http://idp.example", false),
            ("x", "idp.example", false),
            ("x", "https://idp.example/?tenant=1", false),
            ("x", "https://idp.example/#x", false),
            ("", "https://idp.example", false),
            ("Google", "https://idp.example", false),
            ("a_b", "https://idp.example", false),
            ("sms", "https://idp.example", false),
        ] {
            assert_eq!(
                check(&[provider(id, issuer)]).is_ok(),
                good,
                "{id} {issuer}"
            );
        }
    }

    #[test]
    fn providers_must_differ_in_name_and_issuer() {
        let (a, b) = ("https://a.example", "https://b.example");
        assert!(check(&[provider("a", a), provider("b", b)]).is_ok());
        assert!(check(&[provider("a", a), provider("a", b)]).is_err());
        assert!(check(&[provider("a", a), provider("b", a)]).is_err());
        let many: Vec<_> = (0..=MAX_PROVIDERS)
            .map(|number| provider(&number.to_string(), &format!("https://{number}.example")))
            .collect();
        assert!(check(&many).is_err());
    }

    #[test]
    fn a_provider_has_a_display_name_and_hides_its_secret() {
        assert_eq!(spoken("GITHUB"), "GitHub");
        assert_eq!(spoken("GOOGLE"), "Google");
        assert_eq!(spoken("1"), "1");
        let told = format!("{:?}", provider("a", "https://a.example"));
        assert!(!told.contains("secret"), "{told}");
    }
}
