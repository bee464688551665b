//! [`Marks`]: what claims outside RFC 7519 say about the kind of a token.

/// The member of `events` that marks a logout token (OpenID Connect Back-Channel Logout section 2.4).
pub(super) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What claims outside RFC 7519 say about a token, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(u8);

// === impl Marks ===

impl Marks {
    /// A claim says that the token is an access token.
    pub(crate) const ACCESS_TOKEN: u8 = 1;
    /// A claim says that the token is an ID token, or the token has claims that only ID tokens have.
    pub(crate) const ID_TOKEN: u8 = 2;
    /// The token is of another kind: a refresh token, a logout token, a security event.
    pub(crate) const OTHER_KIND: u8 = 4;
    /// `client_id` is not a string.
    pub(crate) const BAD_CLIENT_ID: u8 = 8;
    /// The token is bound to a key whose possession must be proved, so it is not a bearer token.
    pub(crate) const BOUND: u8 = 16;
    /// `events` has the member of a logout token, and its value is an object.
    pub(crate) const LOGOUT: u8 = 32;
    /// The token has a `nonce`, with any value.
    pub(crate) const NONCE: u8 = 64;
    /// The type is `DPoP`, so the token is bound to a key, even if `cnf` does not say so.
    pub(crate) const SAYS_DPOP: u8 = 128;

    pub(crate) fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }
}

/// Reads the kind of a token from `token_use` (Cognito, Hydra) or `typ` (Keycloak).
pub(super) fn kind_of(said: Option<&str>) -> u8 {
    const ACCESS: [&str; 6] = ["access", "access_token", "bearer", "dpop", "at+jwt", "jwt"];
    let is = |names: &[&str], text: &str| names.iter().any(|one| text.eq_ignore_ascii_case(one));
    match said {
        Some(text) if is(&ACCESS, text) => Marks::ACCESS_TOKEN,
        Some(text) if is(&["id", "id_token"], text) => Marks::ID_TOKEN,
        _ => Marks::OTHER_KIND,
    }
}

/// Reads the kind of a token from `token_type` (Simple JWT), `type`, `use` and similar claims. Some issuers
/// use these names for something else, so unknown values are ignored.
pub(super) fn hinted_kind(said: Option<&str>) -> u8 {
    let Some(text) = said else {
        return 0;
    };
    // RFC 8693 section 3
    let text = text
        .strip_prefix("urn:ietf:params:oauth:token-type:")
        .unwrap_or(text);
    let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is(&[
        "access",
        "access_token",
        "access-token",
        "accesstoken",
        "at+jwt",
    ]) {
        Marks::ACCESS_TOKEN
    } else if is(&["id", "id_token", "id-token", "idtoken"]) {
        Marks::ID_TOKEN
    } else if is(&[
        "refresh",
        "refresh_token",
        "refresh-token",
        "refreshtoken",
        "rt+jwt",
        "offline",
        "logout",
        "logout_token",
        "logout-token",
        "logouttoken",
        "logout+jwt",
    ]) {
        Marks::OTHER_KIND
    } else {
        0
    }
}
