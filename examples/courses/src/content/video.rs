//! Which bytes of a video a `Range` header asks for (RFC 9110, one range).

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// All of it, 200.
    Whole,
    /// From the first to the last byte named, both included, 206.
    Part { first: usize, last: usize },
    /// Nothing the file has, 416.
    Unsatisfiable,
}

/// Reads a `Range` header's value for a file of `length` bytes.
pub(crate) fn slice(range: Option<&str>, length: usize) -> Slice {
    let Some(range) = range else {
        return Slice::Whole;
    };
    // A unit this server does not know is to be ignored, and so may be several ranges at once.
    let Some(wanted) = range.trim().strip_prefix("bytes=") else {
        return Slice::Whole;
    };
    if wanted.contains(',') {
        return Slice::Whole;
    }
    part(wanted.trim(), length).unwrap_or(Slice::Unsatisfiable)
}

fn part(wanted: &str, length: usize) -> Option<Slice> {
    let end = length.checked_sub(1)?;
    let (first, last) = wanted.split_once('-')?;
    if first.is_empty() {
        let tail = number(last)?;
        return (tail > 0).then(|| Slice::Part {
            first: length.saturating_sub(tail),
            last: end,
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        end
    } else {
        number(last)?.min(end)
    };
    (first <= last).then_some(Slice::Part { first, last })
}

fn number(text: &str) -> Option<usize> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let cases = [
            (None, Slice::Whole),
            (Some("bytes=0-"), Slice::Part { first: 0, last: 99 }),
            (Some("bytes=0-0"), Slice::Part { first: 0, last: 0 }),
            (
                Some("bytes=10-500"),
                Slice::Part {
                    first: 10,
                    last: 99,
                },
            ),
            (
                Some("bytes=-10"),
                Slice::Part {
                    first: 90,
                    last: 99,
                },
            ),
            (Some("bytes=-500"), Slice::Part { first: 0, last: 99 }),
            (Some("bytes=-0"), Slice::Unsatisfiable),
            (Some("bytes=100-"), Slice::Unsatisfiable),
            (Some("bytes=5-2"), Slice::Unsatisfiable),
            (Some("bytes=abc"), Slice::Unsatisfiable),
            (Some("bytes=+1-2"), Slice::Unsatisfiable),
            (Some("lines=1-2"), Slice::Whole),
            (Some("bytes=0-1,5-6"), Slice::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(slice(range, 100), expected, "{range:?}");
        }
        assert_eq!(slice(Some("bytes=0-"), 0), Slice::Unsatisfiable);
    }
}
