//! Keys, stamps and sealed values: what nobody without the master key can make.

use sluice::key::{self, Claims, Master, Role};
use sluice::seal::{self, Place};
use std::sync::OnceLock;

const NOW: u64 = 1_781_524_800;

struct Made {
    master: Master,
    key: String,
    stamp: String,
    sealed: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let master = Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a master key");
        let claims = Claims {
            tenant: "acme".to_owned(),
            id: "a1".to_owned(),
            role: Role::App,
            app: Some("crm".to_owned()),
            expires: None,
        };
        let key = claims.sign(&master).expect("a key");
        let stamp = key::stamp(&master, i64::try_from(NOW).unwrap_or(0) * 1_000, b"body");
        let sealed = seal::seal(&master, [7; 12], &PLACE, "hush").expect("sealed");
        Made { master, key, stamp, sealed }
    })
}

const PLACE: Place<'static> = Place { tenant: "acme", field: "/x" };

/// Bytes as they are, and a true value changed by them, hold only if they are the true value.
pub fn key(data: &[u8]) {
    let Made { master, key, stamp, sealed } = made();
    for text in [super::text(data).to_owned(), changed(key, data)] {
        assert!(key::open(master, &text, NOW).is_err() || text == *key, "a forged key holds: {text}");
    }
    for text in [super::text(data).to_owned(), changed(stamp, data)] {
        let holds = key::is_stamp(master, &text, i64::try_from(NOW).unwrap_or(0) * 1_000)
            && key::is_stamped(master, &text, b"body");
        assert!(!holds || text == *stamp, "a forged stamp holds: {text}");
    }
    for text in [super::text(data).to_owned(), changed(sealed, data)] {
        assert!(seal::open(master, &PLACE, &text).is_err() || text == *sealed, "a forged secret opens: {text}");
    }
    let _ = (
        key::is_name(super::text(data)),
        sluice::job::parse_id(super::text(data)),
        sluice::webhook::parse_id(super::text(data)),
    );
    if let Some(id) = sluice::job::parse_id(super::text(data)) {
        assert_eq!(sluice::job::id_text(id), super::text(data));
    }
}

/// The first byte says where, the others what is put there.
fn changed(truth: &str, data: &[u8]) -> String {
    let Some((at, put)) = data.split_first() else { return truth.to_owned() };
    let mut bytes = truth.as_bytes().to_vec();
    let at = usize::from(*at) % bytes.len();
    let end = (at + put.len()).min(bytes.len());
    bytes.splice(at..end, put.iter().copied());
    String::from_utf8_lossy(&bytes).into_owned()
}
