//! The administrator's tokens.

use sha2::{Digest, Sha256};

use super::master::same;

/// The tokens of `ADMIN_TOKEN`, as digests: comparing those takes a time that tells nothing of a token, nor of its
/// length. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct AdminTokens {
    digests: Vec<[u8; 32]>,
}

impl AdminTokens {
    /// Reads `ADMIN_TOKEN`: one token, or several by commas.
    ///
    /// # Errors
    /// One sentence: it is missing, or a token is empty or cannot be sent in a header.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("ADMIN_TOKEN is not set; set it to a long random string");
        }
        let tokens = text.split(',').map(str::trim);
        if !tokens.clone().all(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("a token of ADMIN_TOKEN is empty or has a character that no header can carry; \
                 use letters and digits, and one comma between two tokens");
        }
        Ok(Self { digests: tokens.map(digest).collect() })
    }

    /// Whether this is one of them. Every token is compared, whichever it is.
    pub fn accept(&self, presented: &str) -> bool {
        let presented = digest(presented);
        self.digests.iter().fold(false, |found, token| found | same(token, &presented, 32))
    }
}

impl std::fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminTokens(***)")
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
