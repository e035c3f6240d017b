//! Which part of a file is asked for.

/// What is sent of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: nothing else was asked for, or in a way that need not be understood.
    Whole,
    /// From this octet on, so many.
    Range { from: u64, len: u64 },
    /// What is asked for is not in it.
    Outside,
}

/// Reads a field `Range`. Several ranges are answered with the whole file, which RFC 9110 permits.
///
/// Source: RFC 9110 §14.1.2, §14.2.
pub(super) fn part(field: Option<&str>, len: u64) -> Part {
    let Some(range) = field.and_then(|field| field.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = range.split_once('-') else { return Part::Whole };
    match (number(first.trim()), number(last.trim())) {
        (Number::None, Number::Some(0)) => Part::Outside,
        (Number::None, Number::Some(_)) if len == 0 => Part::Outside,
        (Number::None, Number::Some(suffix)) => {
            let suffix = suffix.min(len);
            Part::Range { from: len - suffix, len: suffix }
        }
        (Number::Some(from), Number::None) if from < len => Part::Range { from, len: len - from },
        (Number::Some(from), Number::Some(last)) if from > last => Part::Whole,
        (Number::Some(from), Number::Some(last)) if from < len => {
            Part::Range { from, len: last.min(len - 1) - from + 1 }
        }
        (Number::Some(_), Number::None | Number::Some(_)) => Part::Outside,
        _ => Part::Whole,
    }
}

enum Number {
    None,
    Some(u64),
    Bad,
}

// More digits than a number has are a number beyond every file.
fn number(text: &str) -> Number {
    match text {
        "" => Number::None,
        digits if digits.bytes().all(|c| c.is_ascii_digit()) => Number::Some(digits.parse().unwrap_or(u64::MAX)),
        _ => Number::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: Part) {
        assert_eq!(part(Some(field), 10), expected, "{field}");
    }
    const fn range(from: u64, len: u64) -> Part {
        Part::Range { from, len }
    }
    #[test]
    fn from_here_to_there() {
        check("bytes=0-0", range(0, 1));
        check("bytes=0-9", range(0, 10));
        check("bytes=2-5", range(2, 4));
        check("bytes=9-9", range(9, 1));
    }
    #[test]
    fn beyond_the_end_is_to_the_end() {
        check("bytes=2-99", range(2, 8));
        check("bytes=2-99999999999999999999999999", range(2, 8));
        check("bytes=2-18446744073709551615", range(2, 8));
    }
    #[test]
    fn from_here_on() {
        check("bytes=9-", range(9, 1));
        check("bytes=0-", range(0, 10));
    }
    #[test]
    fn the_last_ones() {
        check("bytes=-1", range(9, 1));
        check("bytes=-10", range(0, 10));
        check("bytes=-11", range(0, 10));
    }
    #[test]
    fn what_is_not_in_it() {
        check("bytes=10-", Part::Outside);
        check("bytes=10-11", Part::Outside);
        check("bytes=99999999999999999999999999-", Part::Outside);
        check("bytes=-0", Part::Outside);
        assert_eq!(part(Some("bytes=-1"), 0), Part::Outside);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Outside);
    }
    #[test]
    fn what_need_not_be_understood() {
        for field in
            ["bytes=5-2", "bytes=-", "bytes=", "bytes=a-b", "bytes=+1-2", "lines=1-2", "bytes=0-1,3-4", "bytes 0-1"]
        {
            check(field, Part::Whole);
        }
        assert_eq!(part(None, 10), Part::Whole);
    }
}
