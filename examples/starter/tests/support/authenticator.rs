//! [`Authenticator`]: a passkey in software, for the tests. It signs everything that it is told to, even
//! what no honest device would.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_cbor_2::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, PASSWORD, Service, Tokens};

/// The `PUBLIC_URL` of the services under test.
const ORIGIN: &str = "https://app.test";

/// A passkey, with what it says about itself. A clone is what somebody has who has stolen the key.
#[derive(Clone)]
pub(crate) struct Authenticator {
    pub(crate) id: Vec<u8>,
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    pub(crate) user_handle: Option<Vec<u8>>,
    /// How often the passkey has signed. A synced passkey does not count.
    pub(crate) counter: u32,
    pub(crate) is_synced: bool,
    /// Whether it claims that it has verified its user.
    pub(crate) verifies: bool,
    key: Vec<u8>,
}

// === impl Authenticator ===

impl Authenticator {
    /// Returns a device that counts signatures, and has no passkey yet.
    pub(crate) fn new() -> Self {
        let mut id = vec![0; 32];
        getrandom::fill(&mut id).unwrap();
        let rng = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng).unwrap();
        Self {
            id,
            origin: ORIGIN.to_owned(),
            rp_id: "app.test".to_owned(),
            user_handle: None,
            counter: 1,
            is_synced: false,
            verifies: true,
            key: key.as_ref().to_vec(),
        }
    }

    /// Returns a passkey in a keychain that several devices share.
    pub(crate) fn synced() -> Self {
        Self {
            is_synced: true,
            counter: 0,
            ..Self::new()
        }
    }

    /// Returns a passkey with the same id and another key.
    pub(crate) fn with_another_key(&self) -> Self {
        Self {
            key: Self::new().key,
            ..self.clone()
        }
    }

    /// Returns what `navigator.credentials.create()` would return.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        let handle = options["user"]["id"].as_str().unwrap();
        self.user_handle = Some(URL_SAFE_NO_PAD.decode(handle).unwrap());
        let mut data = self.data(0x40);
        data.extend([0; 16]); // the kind of device, which was not asked for
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.public_key());
        let object = [
            ("fmt", Cbor::Text("none".to_owned())),
            ("attStmt", Cbor::Map([].into())),
            ("authData", Cbor::Bytes(data)),
        ];
        let object = object.map(|(name, value)| (Cbor::Text(name.to_owned()), value));
        let object = serde_cbor_2::to_vec(&Cbor::Map(object.into())).unwrap();
        self.credential(json!({
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", options)),
            "transports": ["internal"],
        }))
    }

    /// Returns what `navigator.credentials.get()` would return.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        if !self.is_synced {
            self.counter += 1;
        }
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(0);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.pair().sign(&SystemRandom::new(), &signed).unwrap();
        self.credential(json!({
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "userHandle": self.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
        }))
    }

    fn credential(&self, response: Value) -> Value {
        let id = URL_SAFE_NO_PAD.encode(&self.id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let data = json!({
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": false,
        });
        data.to_string()
    }

    /// Returns the part of the authenticator data that is always there (WebAuthn Level 3 section 6.1).
    fn data(&self, more: u8) -> Vec<u8> {
        let mut flags = 0x01 | more; // the user was present
        if self.verifies {
            flags |= 0x04;
        }
        if self.is_synced {
            flags |= 0x08 | 0x10;
        }
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Returns the key in the format of COSE (RFC 9053 section 7.1.1).
    fn public_key(&self) -> Vec<u8> {
        let pair = self.pair();
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let key = [
            (1, Cbor::Integer(2)),
            (3, Cbor::Integer(-7)),
            (-1, Cbor::Integer(1)),
            (-2, Cbor::Bytes(x.to_vec())),
            (-3, Cbor::Bytes(y.to_vec())),
        ];
        let key = key.map(|(name, value)| (Cbor::Integer(name), value));
        serde_cbor_2::to_vec(&Cbor::Map(key.into())).unwrap()
    }

    fn pair(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).unwrap()
    }
}

// === What a client does with it ===

/// Requests a new passkey, with the password.
pub(crate) async fn ask_to_register(service: &Service, tokens: &Tokens) -> Value {
    let proof = json!({ "current_password": PASSWORD });
    let asked = service
        .post_as(tokens, "/auth/passkeys/register", &proof)
        .await;
    assert_eq!(asked.status, StatusCode::OK, "{:?}", asked.body);
    asked.json()
}

/// Answers with this passkey.
pub(crate) async fn answer_register(
    service: &Service,
    tokens: &Tokens,
    asked: &Value,
    passkey: &mut Authenticator,
) -> Answer {
    let answer = json!({
        "ceremony": asked["ceremony"],
        "credential": passkey.create(&asked["options"]),
        "label": "My laptop",
    });
    let path = "/auth/passkeys/register/finish";
    service.post_as(tokens, path, &answer).await
}

/// Adds this passkey to the account, and returns its entry in the list.
pub(crate) async fn add(service: &Service, tokens: &Tokens, passkey: &mut Authenticator) -> Value {
    let asked = ask_to_register(service, tokens).await;
    let added = answer_register(service, tokens, &asked, passkey).await;
    assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    added.json()
}

/// Requests a login without a password.
pub(crate) async fn ask_to_log_in(service: &Service) -> Value {
    let asked = service.post("/auth/login/passkey", &json!({})).await;
    assert_eq!(asked.status, StatusCode::OK, "{:?}", asked.body);
    asked.json()
}

/// Sends the answer of a passkey to a login.
pub(crate) async fn answer_log_in(service: &Service, asked: &Value, credential: Value) -> Answer {
    let answer = json!({ "ceremony": asked["ceremony"], "credential": credential });
    service.post("/auth/login/passkey/finish", &answer).await
}

/// Logs in with this passkey alone.
pub(crate) async fn log_in(service: &Service, passkey: &mut Authenticator) -> Answer {
    let asked = ask_to_log_in(service).await;
    let credential = passkey.get(&asked["options"]);
    answer_log_in(service, &asked, credential).await
}

/// Proves with this passkey that it is the owner.
pub(crate) async fn prove(
    service: &Service,
    tokens: &Tokens,
    passkey: &mut Authenticator,
) -> Answer {
    let asked = service
        .post_as(tokens, "/auth/passkeys/prove", &json!({}))
        .await;
    assert_eq!(asked.status, StatusCode::OK, "{:?}", asked.body);
    let asked = asked.json();
    let answer = json!({
        "ceremony": asked["ceremony"],
        "credential": passkey.get(&asked["options"]),
    });
    service
        .post_as(tokens, "/auth/passkeys/prove/finish", &answer)
        .await
}
