//! The administrators' tokens of `ADMIN_TOKEN`.

use super::MAX_NAME_BYTES;
use super::master::same;
use sha2::{Digest, Sha256};

/// The shortest secret of a token, characters. Sixteen random letters and digits take 2^95 guesses.
pub const MIN_SECRET_BYTES: usize = 16;

/// The name of an administrator whose token has none.
const UNNAMED: &str = "admin";

/// The digests of the tokens in `ADMIN_TOKEN`. The time that their comparison takes tells nothing
/// of a token or its length. `Debug` shows nothing.
#[derive(Clone)]
pub struct AdminTokens {
    tokens: Vec<Token>,
}

#[derive(Clone)]
struct Token {
    name: String,
    /// The digests of the secret by itself and of the whole token as it stands in `ADMIN_TOKEN`. A
    /// caller may send either.
    digests: [[u8; 32]; 2],
}

/// What is wrong with `ADMIN_TOKEN`. Tokens are numbered from 1, and their text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminFault {
    /// It is not set, or empty.
    Missing,
    /// The token is empty or has a character that a header cannot carry.
    Characters(usize),
    /// The text before the first colon of the token is not a valid name.
    Name(usize),
    /// The secret of the token is shorter than [`MIN_SECRET_BYTES`].
    Short(usize),
}

impl std::fmt::Display for AdminFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("ADMIN_TOKEN is not set; set it to a long random string"),
            Self::Characters(at) => write!(
                f,
                "token {at} of ADMIN_TOKEN is empty or has a character that no header can carry; \
                 use letters and digits, and one comma between two tokens"
            ),
            Self::Name(at) => write!(
                f,
                "the name before the colon in token {at} of ADMIN_TOKEN must be 1 to {MAX_NAME_BYTES} letters, \
                 digits and . _ @ -; write it as name:secret"
            ),
            Self::Short(at) => write!(
                f,
                "the secret of token {at} of ADMIN_TOKEN is shorter than {MIN_SECRET_BYTES} characters; \
                 set a longer one, such as from: openssl rand -hex 24"
            ),
        }
    }
}

impl std::error::Error for AdminFault {}

impl AdminTokens {
    /// Reads `ADMIN_TOKEN`: `[name:]secret`, or several of these separated by commas.
    ///
    /// # Errors
    /// It fails with the first fault of the setting.
    pub fn parse(text: &str) -> Result<Self, AdminFault> {
        if text.trim().is_empty() {
            return Err(AdminFault::Missing);
        }
        let tokens = text.split(',').map(str::trim).zip(1..).map(|(token, at)| Token::parse(token, at));
        Ok(Self { tokens: tokens.collect::<Result<_, _>>()? })
    }

    /// Returns the name of the administrator with this token. Every token is compared, even after a
    /// match.
    pub fn accept(&self, presented: &str) -> Option<&str> {
        let presented = digest(presented);
        let mut found = None;
        for token in &self.tokens {
            let [secret, whole] = &token.digests;
            if same(secret, &presented, 32) | same(whole, &presented, 32) {
                found = Some(token.name.as_str());
            }
        }
        found
    }
}

impl Token {
    fn parse(text: &str, at: usize) -> Result<Self, AdminFault> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AdminFault::Characters(at));
        }
        let (name, secret) = text.split_once(':').unwrap_or((UNNAMED, text));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(fits) {
            return Err(AdminFault::Name(at));
        }
        if secret.len() < MIN_SECRET_BYTES {
            return Err(AdminFault::Short(at));
        }
        Ok(Self { name: name.to_owned(), digests: [digest(secret), digest(text)] })
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
