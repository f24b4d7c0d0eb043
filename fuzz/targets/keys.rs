//! Fuzzes keys, task MACs and sealed values, which nobody can make without the master key.

use sluice_core::keys::{self, Claims, Master, Role};
use sluice_core::sealed::{self, Place};
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
        let stamp = keys::stamp(&master, i64::try_from(NOW).unwrap_or(0) * 1_000, b"body");
        let sealed = sealed::seal(&master, [7; 12], &PLACE, "hush").expect("sealed");
        Made { master, key, stamp, sealed }
    })
}

const PLACE: Place<'static> = Place { tenant: "acme", field: "/x" };

/// Returns the master key of what is fuzzed.
pub fn master() -> &'static Master {
    &made().master
}

/// Checks that a key is found in any text, whatever is before and behind it, and however some of
/// its characters are escaped. The first byte of the input says how they are escaped, the next
/// eight say which; the rest is the text, in whose middle the key is put.
pub fn seek(data: &[u8]) {
    let Made { master, key, .. } = made();
    for stands in keys::seek(master, data) {
        assert!(keys::open(master, &stands.key, NOW).is_ok(), "what is found is a key");
        assert!(stands.from < stands.to && stands.to <= data.len());
    }
    let Some((how, rest)) = data.split_first() else { return };
    let Some((which, text)) = rest.split_first_chunk::<8>() else { return };
    let which = u64::from_le_bytes(*which);
    let escaped = |(at, byte): (usize, u8)| match how % 5 {
        _ if which >> (at % 64) & 1 == 0 => char::from(byte).to_string(),
        0 => format!("%{byte:02X}"),
        1 => format!("%25{byte:02x}"),
        2 => format!("\\u{byte:04x}"),
        3 => format!("&#{byte};"),
        _ => format!("&#x{byte:X};"),
    };
    let escaped: String = key.bytes().enumerate().map(escaped).collect();
    let (before, behind) = text.split_at(text.len() / 2);
    let whole = [before, escaped.as_bytes(), behind].concat();
    let found = keys::seek(master, &whole);
    assert!(found.iter().any(|stands| stands.key == *key), "a key is hidden by what stands around it: {escaped}");
    if let Ok(text) = std::str::from_utf8(&whole) {
        let shown = keys::without(text, &found);
        assert!(keys::seek(master, shown.as_bytes()).is_empty(), "a key is left in {shown}");
    }
}

/// Checks that neither the input nor a valid value that the input has changed is accepted, unless
/// it is the valid value.
pub fn key(data: &[u8]) {
    let Made { master, key, stamp, sealed } = made();
    for text in [super::text(data).to_owned(), changed(key, data)] {
        assert!(keys::open(master, &text, NOW).is_err() || text == *key, "a forged key holds: {text}");
    }
    for text in [super::text(data).to_owned(), changed(stamp, data)] {
        let holds = keys::is_stamp(master, &text, i64::try_from(NOW).unwrap_or(0) * 1_000)
            && keys::is_stamped(master, &text, b"body");
        assert!(!holds || text == *stamp, "a forged stamp holds: {text}");
    }
    for text in [super::text(data).to_owned(), changed(sealed, data)] {
        assert!(sealed::open(master, &PLACE, &text).is_err() || text == *sealed, "a forged secret opens: {text}");
    }
    let _ = (
        keys::is_name(super::text(data)),
        sluice_core::jobs::parse_id(super::text(data)),
        sluice_core::webhooks::parse_id(super::text(data)),
    );
    if let Some(id) = sluice_core::jobs::parse_id(super::text(data)) {
        assert_eq!(sluice_core::jobs::id_text(id), super::text(data));
    }
}

/// Overwrites a part of a text: the first byte says where, the others are written there.
fn changed(truth: &str, data: &[u8]) -> String {
    let Some((at, put)) = data.split_first() else { return truth.to_owned() };
    let mut bytes = truth.as_bytes().to_vec();
    let at = usize::from(*at) % bytes.len();
    let end = (at + put.len()).min(bytes.len());
    bytes.splice(at..end, put.iter().copied());
    String::from_utf8_lossy(&bytes).into_owned()
}
