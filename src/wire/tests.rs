use super::*;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parcel {
    small: u8,
    port: u16,
    count: u32,
    large: u64,
    huge: u128,
    minutes: i32,
    at: i64,
    flag: bool,
    text: String,
    inner: Option<Box<Parcel>>,
    pairs: Vec<(String, u32)>,
    end: Result<u64, Why>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Why {
    Plain,
    Two(String, i64),
    Named { code: u16, more: Vec<u64> },
}

wire!(struct Parcel { small, port, count, large, huge, minutes, at, flag, text, inner, pairs, end });
wire!(enum Why { 0 Plain, 1 Two(text, at), 2 Named { code, more } });

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![
        Just(Why::Plain),
        (".{0,5}", any::<i64>()).prop_map(|(text, at)| Why::Two(text, at)),
        (any::<u16>(), any::<Vec<u64>>()).prop_map(|(code, more)| Why::Named { code, more }),
    ]
}

fn parcel() -> impl Strategy<Value = Parcel> {
    let numbers = (
        any::<u8>(),
        any::<u16>(),
        any::<u32>(),
        any::<u64>(),
        any::<u128>(),
        any::<i32>(),
        any::<i64>(),
        any::<bool>(),
    );
    let rest =
        (".{0,9}", prop::collection::vec((".{0,3}", any::<u32>()), 0..4), prop::result::maybe_ok(any::<u64>(), why()));
    let leaf =
        (numbers, rest).prop_map(|((small, port, count, large, huge, minutes, at, flag), (text, pairs, end))| Parcel {
            small,
            port,
            count,
            large,
            huge,
            minutes,
            at,
            flag,
            text,
            inner: None,
            pairs,
            end,
        });
    leaf.prop_recursive(3, 3, 1, |inner| {
        (inner.clone(), inner).prop_map(|(outer, inner)| Parcel { inner: Some(Box::new(inner)), ..outer })
    })
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_postcard_and_read_back(parcel in parcel()) {
        let bytes = write(Vec::new(), &parcel);
        prop_assert_eq!(&bytes, &postcard::to_allocvec(&parcel).unwrap());
        prop_assert_eq!(read::<Parcel>(&bytes), Some(parcel));
    }

    #[test]
    fn what_was_cut_short_does_not_read(parcel in parcel(), end in any::<prop::sample::Index>()) {
        let bytes = write(Vec::new(), &parcel);
        prop_assert_eq!(read::<Parcel>(&bytes[..end.index(bytes.len())]), None);
    }

    #[test]
    fn any_bytes_at_all_read_as_postcard_reads_them_or_not_at_all(bytes in any::<Vec<u8>>()) {
        if let Some(read) = read::<Parcel>(&bytes) {
            prop_assert_eq!(Some(read), postcard::from_bytes(&bytes).ok());
        }
    }
}

#[test]
fn a_count_that_the_bytes_do_not_bear_out_takes_neither_time_nor_memory() {
    let mut bytes = Vec::new();
    write_number(u64::MAX, &mut bytes);
    assert_eq!(read::<Vec<String>>(&bytes), None);
    assert_eq!(read::<String>(&bytes), None);
}

#[test]
fn a_number_of_more_than_its_bits_does_not_read() {
    assert_eq!(read::<u64>(&[0xff; 10]), None);
    assert_eq!(read::<u64>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
    assert_eq!(read::<u16>(&[0x80, 0x80, 4]), None);
    assert_eq!(read::<u64>(&write(Vec::new(), &u64::MAX)), Some(u64::MAX));
}

#[test]
fn what_is_neither_true_nor_false_nor_a_variant_does_not_read() {
    assert_eq!(read::<bool>(&[2]), None);
    assert_eq!(read::<Option<u8>>(&[2, 0]), None);
    assert_eq!(read::<Why>(&[3]), None);
    assert_eq!(read::<String>(&[1, 0xff]), None);
}
