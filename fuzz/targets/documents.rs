//! Fuzzes JSON, and policies and profiles, which are JSON documents.

use sluice_core::document::{self, Tree};
use sluice_core::keys::Master;
use sluice_core::policy::{Context, Policy};
use sluice_core::upstream::Profile;
use sluice_limiter::calendar::Zones;

/// Time zones of which two are known.
struct TwoZones;

impl Zones for TwoZones {
    fn offset_seconds(&self, zone: &str, _: i64) -> Option<i32> {
        match zone {
            "UTC" => Some(0),
            "America/Chicago" => Some(-21_600),
            _ => None,
        }
    }
}

/// Checks that the tree of policies accepts the same texts as `serde_json`'s own value, with the
/// same values, and that it reads the same when it has been written.
pub fn json(data: &[u8]) {
    let text = super::text(data);
    let (own, other) = (serde_json::from_str::<Tree>(text), serde_json::from_str::<serde_json::Value>(text));
    let (Ok(own), Ok(other)) = (&own, &other) else {
        assert_eq!(own.is_ok(), other.is_ok(), "one alone takes «{text}»");
        return;
    };
    let again = serde_json::from_str::<Tree>(&document::text(own));
    assert_eq!(again.ok().as_ref(), Some(own), "written again it reads otherwise");
    same(own, other);
}

fn same(own: &Tree, other: &serde_json::Value) {
    match (own, other) {
        (Tree::Object(fields), serde_json::Value::Object(known)) => {
            for (name, value) in known {
                // Both take the last value of a name that is repeated.
                same(own.get(name).unwrap_or_else(|| panic!("{name} is missing")), value);
            }
            assert!(fields.iter().all(|(name, _)| known.contains_key(name)));
        }
        (Tree::Array(items), serde_json::Value::Array(known)) => {
            assert_eq!(items.len(), known.len());
            items.iter().zip(known).for_each(|(item, known)| same(item, known));
        }
        (Tree::String(text), serde_json::Value::String(known)) => assert_eq!(text, known),
        (Tree::Bool(truth), serde_json::Value::Bool(known)) => assert_eq!(truth, known),
        (Tree::Null, serde_json::Value::Null) => {}
        (Tree::Number(_), serde_json::Value::Number(known)) => {
            assert_eq!(known.as_u64(), own.as_u64().filter(|_| known.as_u64().is_some()));
        }
        _ => panic!("{own:?} is not {other}"),
    }
}

/// Checks that a policy that is accepted is the same after it has been stored and loaded, and after
/// it has been sent back as Sluice shows it.
pub fn policy(data: &[u8]) {
    let text = super::text(data);
    let context = |previous| Context { zones: &TwoZones, allow_loopback: false, previous };
    let Ok((policy, _)) = Policy::parse(text, &context(None)) else { return };
    let master = Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a master key");
    let stored = policy.to_stored("acme", &master, &|bytes| bytes.fill(7)).expect("it can be stored");
    assert_eq!(Policy::from_stored(&stored, "acme", &master, false).as_ref(), Ok(&policy), "stored, it is another");
    let shown = policy.understood(&[]);
    let again = Policy::parse(&shown, &context(Some(&policy)));
    assert_eq!(again.map(|(again, _)| again).as_ref(), Ok(&policy), "sent back, it is another: {shown}");
}

/// Checks that a profile that is accepted is the same when it is read from its stored text.
pub fn profile(data: &[u8]) {
    let Ok(value) = serde_json::from_str::<Tree>(super::text(data)) else { return };
    let Ok(profile) = Profile::inline(&value) else { return };
    let text = profile.text.clone().expect("an inline profile has its text");
    let again = serde_json::from_str(&text).expect("its text is JSON");
    assert_eq!(Profile::inline(&again).as_ref(), Ok(&profile));
}
