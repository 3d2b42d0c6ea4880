//! Strict JSON (RFC 8259, I-JSON's rule on names) for everything that comes from outside.
//!
//! Two readers that disagree about one document are a hole: of a key that stands twice, one reader
//! takes the first value and another the last. So a document is walked once, whole, before any of
//! it is believed, and refused for a duplicate key at any depth, for nesting beyond [`DEPTH_MAX`],
//! for bytes that are not UTF-8 and for anything after the value. Only then is it decoded.

mod check;
mod raw;

use std::fmt;

use serde::de::DeserializeOwned;

pub use raw::RawJson;

/// How much of a document is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest document accepted, in bytes.
    pub bytes_max: usize,
}

/// Where in a document something is wrong; both count from one, columns in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Why bytes are not the document asked for.
///
/// The text is for the eyes of whoever sent the document: it may quote a few words of it, so it
/// belongs into the answer and not into a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Longer than the limit; nothing of it was read.
    #[error("{bytes} bytes where at most {max} are allowed")]
    TooLarge {
        /// Length found.
        bytes: usize,
        /// Length allowed.
        max: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 at {place}")]
    NotUtf8 {
        /// The first byte that is not.
        place: Place,
    },
    /// Not JSON, or something follows the value.
    #[error("not JSON at {place}: {why}")]
    Syntax {
        /// Where reading stopped.
        place: Place,
        /// What was expected.
        why: String,
    },
    /// One object names a key twice.
    #[error("duplicate key {key:?} at {place}")]
    DuplicateKey {
        /// The key, shortened.
        key: String,
        /// Its second standing.
        place: Place,
    },
    /// Arrays and objects within each other beyond [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} at {place}")]
    TooDeep {
        /// Where the limit was passed.
        place: Place,
    },
    /// A key that our own JSON reader would take as an instruction.
    #[error("reserved key {key:?} at {place}")]
    ReservedKey {
        /// The key, shortened.
        key: String,
        /// Where it stands.
        place: Place,
    },
    /// Good JSON of another shape than the one asked for.
    #[error("another shape than asked for at {place}: {why}")]
    Shape {
        /// Where decoding stopped.
        place: Place,
        /// What was expected.
        why: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Decodes one document, strictly.
///
/// # Errors
/// [`JsonError`], with the place; nothing is decoded from a document that fails the check.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, JsonError> {
    let text = check::document(bytes, limits.bytes_max)?;
    serde_json::from_str(text).map_err(|error| shape(&error))
}

/// Says where and why decoding a checked document stopped.
fn shape(error: &serde_json::Error) -> JsonError {
    JsonError::Shape {
        place: place(error),
        why: why(error),
    }
}

fn place(error: &serde_json::Error) -> Place {
    Place {
        line: error.line(),
        column: error.column(),
    }
}

/// The message without its place, shortened.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let tail = format!(" at line {} column {}", error.line(), error.column());
    shortened(text.strip_suffix(&tail).unwrap_or(&text))
}

fn shortened(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}

/// Deeper than any document of the contract (a license reaches 6, a payload seldom 10), and far
/// from the 128 at which our JSON reader itself gives up.
pub const DEPTH_MAX: usize = 32;

/// Enough to recognise one's own words; an answer does not echo a whole body.
const QUOTE_CHARS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 4096 };

    #[derive(Debug, PartialEq, Deserialize)]
    struct Body {
        id: u32,
        names: Vec<String>,
    }

    fn refuse(text: &str) -> String {
        parse::<Value>(text.as_bytes(), &LIMITS)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_good_document_is_decoded() {
        let body: Body =
            parse(br#" {"id": 7, "names": ["a", "a"], "more": {}} "#, &LIMITS).unwrap();
        assert_eq!(
            body,
            Body {
                id: 7,
                names: vec!["a".to_owned(), "a".to_owned()]
            }
        );
    }

    #[test]
    fn every_refusal_names_its_place() {
        for (text, said) in [
            (
                r#"{"a":1,"a":2}"#,
                r#"duplicate key "a" at line 1 column 10"#,
            ),
            (
                "{\"x\":[{\"a\":1,\n\"\\u0061\":2}]}",
                r#"duplicate key "a" at line 2 column 8"#,
            ),
            (
                r#"{"a":1} x"#,
                "not JSON at line 1 column 9: trailing characters",
            ),
            (
                r#"{"a":"#,
                "not JSON at line 1 column 5: EOF while parsing a value",
            ),
            ("", "not JSON at line 1 column 0: EOF while parsing a value"),
            (r#"{"a":1,}"#, "not JSON at line 1 column 8: trailing comma"),
            ("NaN", "not JSON at line 1 column 1: expected value"),
            ("1e999", "not JSON at line 1 column 5: number out of range"),
            (
                r#""\ud800""#,
                "not JSON at line 1 column 8: unexpected end of hex escape",
            ),
        ] {
            assert_eq!(refuse(text), said, "{text}");
        }
        let error = parse::<Value>(b"\"\n\xff\"", &LIMITS)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "not UTF-8 at line 2 column 1");
        let error = parse::<Body>(br#"{"id":"x","names":[]}"#, &LIMITS)
            .unwrap_err()
            .to_string();
        let said = "another shape than asked for at line 1 column 9: \
                    invalid type: string \"x\", expected u32";
        assert_eq!(error, said);
    }

    #[test]
    fn a_key_that_our_reader_would_expand_is_refused() {
        // serde_json takes this key for its own raw value and parses the text unchecked.
        let text = r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#;
        assert!(refuse(text).starts_with("reserved key"), "{}", refuse(text));
    }

    #[test]
    fn nesting_is_allowed_to_the_limit_and_not_beyond() {
        let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse::<Value>(nest(DEPTH_MAX).as_bytes(), &LIMITS).is_ok());
        assert_eq!(
            refuse(&nest(DEPTH_MAX + 1)),
            "nested deeper than 32 at line 1 column 34"
        );
        assert!(refuse(&nest(2000)).starts_with("nested deeper than 32"));
    }

    #[test]
    fn a_document_over_the_limit_is_not_looked_at() {
        let error = parse::<Value>(&[0xff; 4097], &LIMITS).unwrap_err();
        assert_eq!(
            error,
            JsonError::TooLarge {
                bytes: 4097,
                max: 4096
            }
        );
    }

    #[test]
    fn a_refusal_quotes_little() {
        let key = "k".repeat(1000);
        let said = refuse(&format!(r#"{{"{key}":1,"{key}":2}}"#));
        assert!(said.len() < 200, "{said}");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 1..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Writes a value, with the first key of its `target`th object standing twice.
    fn write(value: &Value, objects: &mut usize, target: usize, out: &mut String) {
        match value {
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    write(item, objects, target, out);
                }
                out.push(']');
            }
            Value::Object(map) => {
                let twice = *objects == target;
                *objects += 1;
                out.push('{');
                for (index, (key, item)) in map.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    let key = serde_json::to_string(key).unwrap();
                    if twice && index == 0 {
                        out.push_str(&format!("{key}:null,"));
                    }
                    out.push_str(&format!("{key}:"));
                    write(item, objects, target, out);
                }
                out.push('}');
            }
            leaf => out.push_str(&leaf.to_string()),
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse::<Value>(&bytes, &LIMITS);
            let _ = parse::<Body>(&bytes, &LIMITS);
        }

        #[test]
        fn text_that_looks_like_json_never_panics(text in "[\\[\\]{}\",:0-9a-e\\\\u+.\\- \n]{0,80}") {
            let _ = parse::<Value>(text.as_bytes(), &LIMITS);
        }

        #[test]
        fn a_good_document_is_accepted_and_with_one_key_twice_refused(
            value in any_value(), pick in any::<prop::sample::Index>(),
        ) {
            let limits = Limits { bytes_max: 1 << 20 };
            let (mut objects, mut text) = (0, String::new());
            write(&value, &mut objects, usize::MAX, &mut text);
            prop_assert_eq!(parse::<Value>(text.as_bytes(), &limits), Ok(value.clone()));
            prop_assume!(objects > 0);
            let target = pick.index(objects);
            let mut text = String::new();
            write(&value, &mut 0, target, &mut text);
            let refused = matches!(
                parse::<Value>(text.as_bytes(), &limits),
                Err(JsonError::DuplicateKey { .. })
            );
            prop_assert!(refused, "{}", text);
        }
    }
}
