//! [`Marks`]: what claims outside RFC 7519 say of the kind of a token.

/// The member of `events` that makes a log-out (OpenID Connect Back-Channel Logout section 2.4).
pub(super) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What claims outside RFC 7519 say of a token, each a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(u8);

// === impl Marks ===

impl Marks {
    /// It says that it is an access token.
    pub(crate) const ACCESS_TOKEN: u8 = 1;
    /// It says that it is an ID token, or has claims that only those have.
    pub(crate) const ID_TOKEN: u8 = 2;
    /// It is something else: a refresh token, a logout token, a security event.
    pub(crate) const OTHER_KIND: u8 = 4;
    /// `client_id` is no text.
    pub(crate) const BAD_CLIENT_ID: u8 = 8;
    /// It is bound to a key whose possession must be proved: it is not a bearer token.
    pub(crate) const BOUND: u8 = 16;
    /// Its `events` has the member of a log-out, which is an object.
    pub(crate) const LOGOUT: u8 = 32;
    /// It has a `nonce`, whatever the value.
    pub(crate) const NONCE: u8 = 64;
    /// Its type is `DPoP`, so it is bound to a key whatever its `cnf` says.
    pub(crate) const SAYS_DPOP: u8 = 128;

    pub(crate) fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }
}

/// What `token_use` (Cognito, Hydra) and `typ` (Keycloak) say of a token's kind.
pub(super) fn kind_of(said: Option<&str>) -> u8 {
    const ACCESS: [&str; 6] = ["access", "access_token", "bearer", "dpop", "at+jwt", "jwt"];
    let is = |names: &[&str], text: &str| names.iter().any(|one| text.eq_ignore_ascii_case(one));
    match said {
        Some(text) if is(&ACCESS, text) => Marks::ACCESS_TOKEN,
        Some(text) if is(&["id", "id_token"], text) => Marks::ID_TOKEN,
        _ => Marks::OTHER_KIND,
    }
}

/// What `token_type` (Simple JWT), `type`, `use` and their like say of a token's kind. Others mean
/// anything else by these names, so only what is known counts.
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
