//! Time zones, as `Intl` knows them.

use js_sys::{Array, Date, Function, Intl::DateTimeFormat, Object, Reflect};
use sluice_limiter::calendar::Zones;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen::{JsCast, JsValue};

/// Formatters that are kept, since they are slow to make: as many as there could be zones in use at
/// once in one isolate.
const MOST_FORMATTERS: usize = 64;

/// What a formatter is to show of a moment.
const OPTIONS: [(&str, &str); 8] = [
    ("calendar", "iso8601"),
    ("hourCycle", "h23"),
    ("year", "numeric"),
    ("month", "numeric"),
    ("day", "numeric"),
    ("hour", "numeric"),
    ("minute", "numeric"),
    ("second", "numeric"),
];

thread_local! {
    static FORMATTERS: RefCell<BTreeMap<String, DateTimeFormat>> = const { RefCell::new(BTreeMap::new()) };
}

/// The platform's time zones.
pub struct IntlZones;

impl Zones for IntlZones {
    fn offset_seconds(&self, zone: &str, at: i64) -> Option<i32> {
        let local = FORMATTERS.with_borrow_mut(|formatters| {
            if !formatters.contains_key(zone) {
                let made = formatter(zone)?;
                if formatters.len() >= MOST_FORMATTERS {
                    formatters.clear();
                }
                formatters.insert(zone.to_owned(), made);
            }
            local_ms(formatters.get(zone)?, at)
        })?;
        let whole_seconds = at.div_euclid(1_000).saturating_mul(1_000);
        i32::try_from(local.saturating_sub(whole_seconds) / 1_000).ok()
    }
}

/// Makes a zone's formatter; none for a zone that the platform does not know. `js_sys` binds the
/// constructor as if it never threw, so it is called through `Reflect`.
fn formatter(zone: &str) -> Option<DateTimeFormat> {
    let options = Object::new();
    for (name, value) in OPTIONS.into_iter().chain([("timeZone", zone)]) {
        Reflect::set(&options, &JsValue::from(name), &JsValue::from(value)).ok()?;
    }
    let intl = Reflect::get(&js_sys::global(), &JsValue::from("Intl")).ok()?;
    let constructor: Function = Reflect::get(&intl, &JsValue::from("DateTimeFormat")).ok()?.dyn_into().ok()?;
    let arguments = Array::of2(&JsValue::from("en-US"), &options);
    Some(Reflect::construct(&constructor, &arguments).ok()?.unchecked_into())
}

/// Returns what the clocks of a formatter's zone show at a moment, read as if it were UTC, in Unix
/// milliseconds.
fn local_ms(formatter: &DateTimeFormat, at: i64) -> Option<i64> {
    let (mut date, mut time) = ([0_u32; 3], [0_u32; 3]);
    let [year, month, day] = &mut date;
    let [hour, minute, second] = &mut time;
    for part in formatter.format_to_parts(&Date::new(&JsValue::from(at as f64))).iter() {
        let get = |name: &str| Reflect::get(&part, &JsValue::from(name)).ok()?.as_string();
        let place = match get("type")?.as_str() {
            "year" => &mut *year,
            "month" => &mut *month,
            "day" => &mut *day,
            "hour" => &mut *hour,
            "minute" => &mut *minute,
            "second" => &mut *second,
            _ => continue,
        };
        *place = get("value")?.parse().ok()?;
    }
    let ([year, month, day], [hour, minute, second]) = (date, time);
    let shown = Date::parse(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"));
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far below 2^53")]
    (!shown.is_nan()).then_some(shown as i64)
}
