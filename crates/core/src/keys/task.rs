//! The MAC of a task. A tenant's object sends tasks to a Worker over a binding to this same Worker,
//! whose address anybody can call from outside; the stamp proves that a task comes from this
//! installation.
//!
//! ```text
//! Unix ms · "." · MAC of that · "." · MAC of that and the body
//! each MAC: 16 bytes of HMAC-SHA256, in URL-safe base64 without padding
//! ```
//! The first MAC is checked before the body is read, so that no body is read from a caller without
//! `MASTER_KEY`.

use super::Master;
use super::master::{hmac, same};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How far a stamp's time may be from now in either direction, milliseconds. It allows for
/// different clocks and the way.
const HOLDS_MS: i64 = 30_000;

const MAC_BYTES: usize = 16;

/// Makes the stamp of a task; `at`: Unix ms.
pub fn stamp(master: &Master, at: i64, body: &[u8]) -> String {
    let mut text = at.to_string();
    let digest = Sha256::digest(body);
    for message in [&[][..], &digest[..]] {
        let mac = master.tasks().next().map(|key| mac(key, at, message)).unwrap_or_default();
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(mac.get(..MAC_BYTES).unwrap_or_default()));
    }
    text
}

/// Whether this installation made the stamp within 30 s of `now`. Only then may the body be
/// read. `now`: Unix ms.
pub fn is_stamp(master: &Master, stamp: &str, now: i64) -> bool {
    let Some((at, head, _)) = parts(stamp) else { return false };
    at.abs_diff(now) <= HOLDS_MS.unsigned_abs() && holds(master, at, &[], &head)
}

/// Whether the stamp belongs to this body.
pub fn is_stamped(master: &Master, stamp: &str, body: &[u8]) -> bool {
    parts(stamp).is_some_and(|(at, _, whole)| holds(master, at, &Sha256::digest(body), &whole))
}

fn holds(master: &Master, at: i64, message: &[u8], presented: &[u8; 32]) -> bool {
    master.tasks().any(|key| same(&mac(key, at, message), presented, MAC_BYTES))
}

fn mac(key: &[u8; 32], at: i64, message: &[u8]) -> [u8; 32] {
    hmac(key, &[&at.to_be_bytes(), message].concat())
}

fn parts(stamp: &str) -> Option<(i64, [u8; 32], [u8; 32])> {
    let mut parts = stamp.splitn(3, '.');
    let at = parts.next()?.parse().ok()?;
    let mut mac = || {
        let bytes = parts.next().filter(|text| text.len() <= 32).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())?;
        let mut mac = [0; 32];
        mac.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        (bytes.len() == MAC_BYTES).then_some(mac)
    };
    Some((at, mac()?, mac()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800_000;

    fn master(text: &str) -> Master {
        Master::parse(text).expect("master keys")
    }

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_stamp_holds_for_its_body_about_its_time_under_any_listed_master() {
        let stamped = stamp(&master(ONE), NOW, b"body");
        for known in [ONE.to_owned(), format!("{OTHER},{ONE}")] {
            assert!(is_stamp(&master(&known), &stamped, NOW + HOLDS_MS));
            assert!(is_stamped(&master(&known), &stamped, b"body"));
        }
        assert!(!is_stamp(&master(OTHER), &stamped, NOW));
        assert!(!is_stamp(&master(ONE), &stamped, NOW + HOLDS_MS + 1));
        assert!(!is_stamped(&master(ONE), &stamped, b"bodY"));
    }

    #[test]
    fn what_is_no_stamp_is_refused_whatever_it_is() {
        let stamped = stamp(&master(ONE), NOW, b"");
        let later = stamped.replacen(&NOW.to_string(), &(NOW + 1).to_string(), 1);
        for text in ["", ".", "..", "1.a.b", "x.y.z", &stamped[..20], &later, &format!("{stamped}.x")] {
            assert!(!is_stamp(&master(ONE), text, NOW) || !is_stamped(&master(ONE), text, b""), "{text}");
        }
    }
}
