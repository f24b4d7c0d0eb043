//! The binary form of what crosses between a Worker and an object, and of what is stored: postcard's. Numbers are varints of 7 bits a byte,
//! the lowest first, signed ones folded (0, -1, 1, -2 …); text, bytes and lists begin with their length; the fields of a record follow
//! each other; an enum begins with its number.
//!
//! It is written here for the size of the Wasm: reading never ends early. What is wrong spoils the reader, which gives zeros from then on,
//! and is asked once, at the end.

#![expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]

/// What has a binary form. Records and enums have it from [`wire!`].
pub trait Wire: Sized {
    /// Appends it.
    fn write(&self, to: &mut Vec<u8>);
    /// Takes it; anything, if the reader is spoilt or becomes so.
    fn read(from: &mut Reader<'_>) -> Self;
}

/// Gives a record or an enum its binary form: the fields in their order, the variants with their numbers, the first of which is 0. Both
/// are what is stored, so they stay.
macro_rules! wire {
    (struct $name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                $($crate::wire::Wire::write(&self.$field, to);)*
            }

            fn read(from: &mut $crate::wire::Reader<'_>) -> Self {
                Self { $($field: $crate::wire::Wire::read(from)),* }
            }
        }
    };
    (enum $name:ident { $($number:literal $variant:ident $(($($item:ident),*))? $({ $($field:ident),* })?),* $(,)? }) => {
        impl $crate::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        $crate::wire::write_number($number, to);
                        $($($crate::wire::Wire::write($item, to);)*)?
                        $($($crate::wire::Wire::write($field, to);)*)?
                    })*
                }
            }

            fn read(from: &mut $crate::wire::Reader<'_>) -> Self {
                // A spoilt reader gives 0, so there is one.
                const { assert!([$($number),*][0] == 0) };
                match from.number() {
                    $($number => Self::$variant
                        $(($({ let $item = $crate::wire::Wire::read(from); $item }),*))?
                        $({ $($field: $crate::wire::Wire::read(from)),* })?,)*
                    _ => {
                        from.spoil();
                        $crate::wire::Wire::read(from)
                    }
                }
            }
        }
    };
}
pub(crate) use wire;

/// The bytes not yet read.
pub struct Reader<'a> {
    left: &'a [u8],
    spoilt: bool,
}

impl<'a> Reader<'a> {
    /// What is read is not what was written.
    pub fn spoil(&mut self) {
        self.left = &[];
        self.spoilt = true;
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let Some((byte, left)) = self.left.split_first() else { break };
            self.left = left;
            let part = u64::from(byte & 127);
            number |= part << shift;
            if *byte < 128 && (part << shift) >> shift == part {
                return number;
            }
        }
        self.spoil();
        0
    }

    fn bytes(&mut self, count: u64) -> &'a [u8] {
        let found = usize::try_from(count).ok().and_then(|count| self.left.split_at_checked(count));
        let Some((bytes, left)) = found else {
            self.spoil();
            return &[];
        };
        self.left = left;
        bytes
    }

    fn fits<T: Default>(&mut self, number: Option<T>) -> T {
        number.unwrap_or_else(|| {
            self.spoil();
            T::default()
        })
    }
}

/// Appends a number.
pub fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number > 127 {
        to.push((number & 127 | 128) as u8);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Something's binary form, after `head`.
pub fn write(head: Vec<u8>, message: &impl Wire) -> Vec<u8> {
    let mut bytes = head;
    message.write(&mut bytes);
    bytes
}

/// What was written; none for what is of another form. Bytes after it are left alone.
pub fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    let mut from = Reader { left: bytes, spoilt: false };
    let message = T::read(&mut from);
    (!from.spoilt).then_some(message)
}

impl Wire for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        write_number(*self, to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        from.number()
    }
}

impl Wire for u128 {
    fn write(&self, to: &mut Vec<u8>) {
        let mut number = *self;
        while number > 127 {
            to.push((number & 127 | 128) as u8);
            number >>= 7;
        }
        to.push(number as u8);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = u8::read(from);
            let part = Self::from(byte & 127);
            number |= part << shift;
            if byte < 128 && (part << shift) >> shift == part {
                return number;
            }
        }
        from.spoil();
        0
    }
}

impl Wire for u32 {
    fn write(&self, to: &mut Vec<u8>) {
        write_number((*self).into(), to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let number = from.number();
        from.fits(Self::try_from(number).ok())
    }
}

impl Wire for u16 {
    fn write(&self, to: &mut Vec<u8>) {
        write_number((*self).into(), to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let number = from.number();
        from.fits(Self::try_from(number).ok())
    }
}

impl Wire for u8 {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        from.bytes(1).first().copied().unwrap_or_default()
    }
}

impl Wire for i64 {
    fn write(&self, to: &mut Vec<u8>) {
        write_number((self << 1 ^ self >> 63).cast_unsigned(), to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let folded = from.number();
        (folded >> 1).cast_signed() ^ (folded & 1).cast_signed().wrapping_neg()
    }
}

impl Wire for i32 {
    fn write(&self, to: &mut Vec<u8>) {
        i64::from(*self).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let number = i64::read(from);
        from.fits(Self::try_from(number).ok())
    }
}

impl Wire for bool {
    fn write(&self, to: &mut Vec<u8>) {
        to.push((*self).into());
    }

    fn read(from: &mut Reader<'_>) -> Self {
        match u8::read(from) {
            0 => false,
            1 => true,
            _ => {
                from.spoil();
                false
            }
        }
    }
}

impl Wire for String {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let text = Self::from_utf8(read_bytes(from));
        from.fits(text.ok())
    }
}

/// Appends bytes and, before them, how many.
pub fn write_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    write_number(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Bytes, as many as the number before them says.
pub fn read_bytes(from: &mut Reader<'_>) -> Vec<u8> {
    let count = from.number();
    from.bytes(count).to_vec()
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        write_number(self.len() as u64, to);
        for item in self {
            item.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let mut items = Self::new();
        for _ in 0..from.number() {
            // Also the end of a count that the bytes do not bear out: each item has one at least.
            if from.spoilt {
                break;
            }
            items.push(T::read(from));
        }
        items
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Self {
        bool::read(from).then(|| T::read(from))
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_err().write(to);
        match self {
            Ok(value) => value.write(to),
            Err(error) => error.write(to),
        }
    }

    fn read(from: &mut Reader<'_>) -> Self {
        if bool::read(from) { Err(E::read(from)) } else { Ok(T::read(from)) }
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, to: &mut Vec<u8>) {
        (**self).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self::new(T::read(from))
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        (A::read(from), B::read(from))
    }
}

#[cfg(test)]
mod tests;
