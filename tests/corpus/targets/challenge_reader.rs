//! An independent reader of `WWW-Authenticate` (RFC 9110 sections 11.2 to 11.6.1), as strict as the grammar.

/// One challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    /// Names in lower case, and values without their quotes.
    pub(super) parameters: Vec<(String, String)>,
}

// === impl Challenge ===

impl Challenge {
    /// Reads a field value that holds exactly one challenge with parameters.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Rest(value);
        let scheme = rest.token()?;
        rest.take(b' ')?;
        let mut parameters = Vec::<(String, String)>::new();
        loop {
            rest.spaces();
            let name = rest.token()?.to_ascii_lowercase();
            rest.take(b'=')?;
            let value = if rest.0.first() == Some(&b'"') {
                rest.quoted()?
            } else {
                rest.token()?
            };
            // Section 11.2: a parameter occurs once.
            if parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
            rest.spaces();
            if rest.0.is_empty() {
                return Some(Self { scheme, parameters });
            }
            rest.take(b',')?;
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find_map(|(known, value)| (known == name).then_some(&**value))
    }
}

struct Rest<'v>(&'v [u8]);

// === impl Rest ===

impl Rest<'_> {
    fn take(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == expected).then_some(())
    }

    fn spaces(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// Reads a token (section 5.6.2).
    fn token(&mut self) -> Option<String> {
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let end = self.0.iter().position(|byte| !is_token(byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        let text = std::str::from_utf8(token).ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Reads a quoted string (section 5.6.4), without `obs-text`.
    fn quoted(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = String::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            let byte = match first {
                b'"' => return Some(text),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    escaped
                }
                other => other,
            };
            if !matches!(byte, b'\t' | b' '..=b'~') {
                return None;
            }
            text.push(char::from(*byte));
        }
    }
}
