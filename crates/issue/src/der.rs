//! Reading DER one value after another, without knowing what it should say.

/// One value: its tag octet, its contents, and all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    pub(crate) all: &'a [u8],
}

/// Most values that are read of one constructed value. The decoders of `x509` allow fewer.
const VALUES_MAX: usize = 256;

/// Takes the first value off `octets`; `None` if it is not DER. Tags above 30 are not read: X.509 has none.
pub(crate) fn first<'a>(octets: &mut &'a [u8]) -> Option<Value<'a>> {
    let (tag, rest) = octets.split_first()?;
    let (len, rest) = length(rest)?;
    if tag & 0x1f == 0x1f || len > rest.len() {
        return None;
    }
    let (contents, after) = rest.split_at(len);
    let all = octets.get(..octets.len() - after.len())?;
    *octets = after;
    Some(Value { tag: *tag, contents, all })
}

/// The only value in `octets`.
pub(crate) fn only(mut octets: &[u8]) -> Option<Value<'_>> {
    first(&mut octets).filter(|_| octets.is_empty())
}

/// All values in `octets`; `None` if one is not DER, or they are too many.
pub(crate) fn each(octets: &[u8]) -> Option<Values<'_>> {
    let mut rest = octets;
    for _ in 0..VALUES_MAX {
        if rest.is_empty() {
            break;
        }
        first(&mut rest)?;
    }
    rest.is_empty().then_some(Values { octets })
}

/// The values in `octets`, if there are so many.
pub(crate) fn exactly<const N: usize>(mut octets: &[u8]) -> Option<[Value<'_>; N]> {
    let mut values = [Value { tag: 0, contents: &[], all: &[] }; N];
    for value in &mut values {
        *value = first(&mut octets)?;
    }
    octets.is_empty().then_some(values)
}

/// Values one after another, all of them DER. They are looked up in the octets each time, and kept nowhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    octets: &'a [u8],
}

impl<'a> Values<'a> {
    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;
    fn next(&mut self) -> Option<Value<'a>> {
        first(&mut self.octets)
    }
}

// X.690 §10.1: the definite form in as few octets as possible. Nothing here is longer than 2^24 octets.
fn length(octets: &[u8]) -> Option<(usize, &[u8])> {
    match octets {
        [short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, a @ 0x80..=0xff, rest @ ..] => Some((usize::from(*a), rest)),
        [0x82, a @ 1..=0xff, b, rest @ ..] => Some((usize::from(*a) << 8 | usize::from(*b), rest)),
        [0x83, a @ 1..=0xff, b, c, rest @ ..] => {
            Some((usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Option<usize>) {
        assert_eq!(only(octets).map(|value| value.contents.len()), expected);
    }

    #[test]
    fn a_short_length() {
        check(&[4, 2, 1, 2], Some(2));
    }
    #[test]
    fn long_lengths() {
        check(&[&[4, 0x81, 0x80][..], &[0; 128]].concat(), Some(128));
        check(&[&[4, 0x82, 1, 0][..], &[0; 256]].concat(), Some(256));
        check(&[&[4, 0x83, 1, 0, 0][..], &[0; 65_536]].concat(), Some(65_536));
    }
    #[test]
    fn a_length_in_more_octets_than_it_needs_is_refused() {
        check(&[4, 0x81, 1, 0], None);
        check(&[4, 0x82, 0, 1, 0], None);
    }
    #[test]
    fn an_indefinite_length_is_refused() {
        check(&[0x30, 0x80, 0, 0], None);
    }
    #[test]
    fn what_is_cut_or_followed_is_refused() {
        check(&[4, 2, 1], None);
        check(&[4, 1, 1, 1], None);
        check(&[], None);
    }
    #[test]
    fn two_hundred_and_fifty_seven_values_are_refused() {
        assert_eq!(each(&[5, 0].repeat(256)).map(Iterator::count), Some(256));
        assert!(each(&[5, 0].repeat(257)).is_none());
    }
    #[test]
    fn values_are_none_if_one_of_them_is_cut() {
        assert!(each(&[5, 0, 5, 0, 5, 1]).is_none());
    }
    #[track_caller]
    fn check_two(octets: &[u8], expected: Option<[usize; 2]>) {
        let lens = exactly::<2>(octets).map(|values| values.map(|v| v.contents.len()));
        assert_eq!(lens, expected);
    }
    #[test]
    fn exactly_two() {
        check_two(&[5, 0], None);
        check_two(&[4, 1, 9, 5, 0], Some([1, 0]));
        check_two(&[5, 0, 5, 0, 5, 0], None);
    }
}
