//! The key that signs ID tokens: Ed25519, new each start.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};

use super::shelf::random_name;

/// What an Ed25519 key of 32 bytes begins with in PKCS#8 (RFC 8410 §7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A signing key and its public half.
pub struct Key {
    private: CoreEdDsaPrivateSigningKey,
    public: CoreJsonWebKey,
    id: String,
}

/// The key could not be made or used.
#[derive(Debug, thiserror::Error)]
#[error("the signing key cannot be used: {0}")]
pub struct KeyError(String);

impl Key {
    /// A new random key.
    pub fn generate() -> Result<Self, KeyError> {
        let der = [PKCS8.as_slice(), &rand::random::<[u8; 32]>()].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        let id = random_name();
        let private = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(id.clone()))).map_err(KeyError)?;
        Ok(Self { public: private.as_verification_key(), private, id })
    }

    /// The public half as a JSON Web Key Set (RFC 7517 §5, RFC 8037 §2).
    pub fn public_set(&self) -> CoreJsonWebKeySet {
        CoreJsonWebKeySet::new(vec![self.public.clone()])
    }

    /// Signs claims as a JWT (RFC 7519).
    pub fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({"alg": "EdDSA", "kid": self.id, "typ": "JWT"});
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.private.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes()).map_err(|error| KeyError(error.to_string()))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWT that this key signed, however old; `None` for any other.
    pub fn claims(&self, token: &str) -> Option<Value> {
        let (message, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.public.verify_signature(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes(), &signature).ok()?;
        let (_, claims) = message.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// `at_hash` of an access token (OpenID Connect Core §3.1.3.6).
    pub fn access_token_hash(&self, token: &str) -> Result<String, KeyError> {
        let hash = self.public.hash_bytes(token.as_bytes(), &CoreJwsSigningAlgorithm::EdDsa).map_err(KeyError)?;
        Ok(URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_come_back_only_from_what_this_key_signed() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let claims = json!({"sub": "x"});
        let token = key.sign(&claims).unwrap();
        assert_eq!(key.claims(&token), Some(claims.clone()));
        assert_eq!(other.claims(&token), None);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(json!({"sub": "y"}).to_string());
        let header = message.split_once('.').unwrap().0;
        for broken in ["", ".", "..", &format!("{header}.{forged}.{signature}"), &format!("{message}."), &format!("{message}.AAAA"), message] {
            assert_eq!(key.claims(broken), None, "{broken}");
        }
    }
}
