//! Topics and patterns: what they may look like, and which matches which.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// What separates segments, unless a bus is built with something else.
pub(crate) const SEPARATOR: char = '.';

const MAX_BYTES: usize = 255;
const MAX_SEGMENTS: usize = 32;

/// A concrete name that an event may be emitted on, such as `order.created`: segments between separators.
///
/// The verbs of an [`Emitter`](crate::Emitter) take names as `&str`. A `Topic` is for programs that keep names as values.
///
/// ```
/// use hearken::{Pattern, Topic};
///
/// let topic: Topic = "order.created".parse()?;
/// let pattern: Pattern = "order.*".parse()?;
/// assert!(pattern.matches(&topic));
/// # Ok::<(), hearken::TopicError>(())
/// ```
///
/// # What is valid
///
/// One to 32 segments, none of them empty, 255 bytes in all; no white space, no control characters, no `*`. Bytes compare
/// exactly: upper case is not lower case, and no two spellings of a letter are the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Topic(Name);

/// What listens to topics: like a [`Topic`], but a segment may be `*`, which is any one segment, or `**`, which is any number
/// of them, also none.
///
/// | pattern | matches | doesn't match |
/// | --- | --- | --- |
/// | `order.created` | `order.created` | `order` |
/// | `order.*` | `order.created` | `order`, `order.item.added` |
/// | `order.**` | `order`, `order.created`, `order.item.added` | `orders` |
/// | `**.failed` | `failed`, `order.payment.failed` | `order.failed.twice` |
/// | `a.**.b` | `a.b`, `a.x.b`, `a.b.b` | `a.b.c` |
///
/// ```
/// use hearken::{Pattern, Topic};
///
/// let pattern = Pattern::parse("**.failed")?;
/// assert!(pattern.matches(&Topic::parse("order.payment.failed")?));
///
/// // With another separator, in force for both:
/// let pattern = Pattern::parse_with("user:**", ':')?;
/// assert!(pattern.matches(&Topic::parse_with("user:email:updated", ':')?));
/// # Ok::<(), hearken::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Name);

#[derive(Clone, PartialEq, Eq)]
struct Name {
    text: Arc<str>,
    separator: char,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Topic,
    Pattern,
}

impl Topic {
    /// A topic with segments separated by `.`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, where, and what to do about it.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        Self::parse_with(text, SEPARATOR)
    }

    /// A topic with segments separated by this character.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse); also if the character can't separate: `*`, a letter or digit, white space, a control character.
    pub fn parse_with(text: &str, separator: char) -> Result<Self, TopicError> {
        check(text, separator, Kind::Topic)?;
        Ok(Self(Name { text: text.into(), separator }))
    }

    /// Whether the text is a topic, without making one.
    #[inline]
    pub(crate) fn check(text: &str, separator: char) -> Result<(), TopicError> {
        if is_plain_topic(text, separator) { Ok(()) } else { check(text, separator, Kind::Topic) }
    }

    /// The topic as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What separates its segments.
    pub fn separator(&self) -> char {
        self.0.separator
    }
}

impl Pattern {
    /// A pattern with segments separated by `.`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, where, and what to do about it.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        Self::parse_with(text, SEPARATOR)
    }

    /// A pattern with segments separated by this character.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse); also if the character can't separate: `*`, a letter or digit, white space, a control character.
    pub fn parse_with(text: &str, separator: char) -> Result<Self, TopicError> {
        check(text, separator, Kind::Pattern)?;
        Ok(Self(Name { text: text.into(), separator }))
    }

    /// Whether the text is a pattern, without making one.
    pub(crate) fn check(text: &str, separator: char) -> Result<(), TopicError> {
        check(text, separator, Kind::Pattern)
    }

    /// Of a text that was found to be a pattern, or a topic, before.
    pub(crate) fn known(text: &str, separator: char) -> Self {
        Self(Name { text: text.into(), separator })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What separates its segments.
    pub fn separator(&self) -> char {
        self.0.separator
    }

    /// Whether an event on this topic is for who listens to this pattern. Never, if they have different separators.
    ///
    /// # Cost
    ///
    /// At most one step for each segment of the one and each of the other, 1,024 in all; no allocation.
    pub fn matches(&self, topic: &Topic) -> bool {
        if self.0.separator != topic.0.separator {
            return false;
        }
        // Bit n: the first n segments of the pattern match what was seen of the topic so far.
        let bit = |n: usize| 1_u64 << n;
        let mut matched = self.skip_globs(bit(0));
        for segment in segments(topic.as_str(), topic.0.separator) {
            let mut next = 0;
            for (n, wanted) in self.segments().enumerate().filter(|&(n, _)| matched & bit(n) != 0) {
                match wanted {
                    GLOB => next |= bit(n),
                    wanted if wanted == STAR || wanted == segment => next |= bit(n + 1),
                    _ => {}
                }
            }
            matched = self.skip_globs(next);
        }
        matched & bit(self.segments().count()) != 0
    }

    /// `**` may match nothing at all.
    fn skip_globs(&self, matched: u64) -> u64 {
        let is_glob = self.segments().map(|segment| u64::from(segment == GLOB));
        is_glob.enumerate().fold(matched, |matched, (n, is_glob)| matched | (matched >> n & is_glob) << (n + 1))
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        segments(&self.0.text, self.0.separator)
    }

    /// Whether it has no wildcard: it matches the topic of the same text, and nothing else.
    pub(crate) fn is_concrete(&self) -> bool {
        !self.0.text.contains('*')
    }
}

/// The segment that is any one segment.
pub(crate) const STAR: &str = "*";
/// The segment that is any number of segments.
pub(crate) const GLOB: &str = "**";

/// A text that is no topic, or no pattern: what is wrong with it, where, and what to do about it.
///
/// ```
/// let error = hearken::Topic::parse("order..created").unwrap_err();
/// assert_eq!(error.at(), 6);
/// assert_eq!(
///     error.to_string(),
///     "\"order..created\" is no topic: an empty segment at byte 6; put a name between the separators `.`"
/// );
/// ```
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} is no {}: {} at byte {at}; {}", Excerpt(text), self.noun(), self.flaw, self.cure())]
pub struct TopicError {
    text: Box<str>,
    separator: char,
    kind: Kind,
    at: usize,
    flaw: Flaw,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Flaw {
    #[error("it is empty,")]
    Empty,
    #[error("an empty segment")]
    EmptySegment,
    #[error("it is longer than {MAX_BYTES} bytes,")]
    TooLong,
    #[error("it has more than {MAX_SEGMENTS} segments,")]
    TooDeep,
    #[error("white space")]
    WhiteSpace,
    #[error("a control character")]
    Control,
    #[error("a wildcard")]
    Wildcard,
    #[error("a `*` inside a segment")]
    PartialWildcard,
    #[error("the separator {0:?}, which can't be one,")]
    Separator(char),
}

impl TopicError {
    /// The text that was refused. Of a text that is too long, its beginning.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it goes wrong: the place in the text, in bytes, from 0.
    pub fn at(&self) -> usize {
        self.at
    }

    fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Topic => "topic",
            Kind::Pattern => "pattern",
        }
    }

    fn cure(&self) -> String {
        match (self.flaw, self.other_separator()) {
            (Flaw::Empty, _) => "name at least one segment".into(),
            (Flaw::EmptySegment, _) => format!("put a name between the separators `{}`", self.separator),
            (Flaw::TooLong | Flaw::TooDeep, _) => "shorten it, and put what varies into the event".into(),
            (Flaw::WhiteSpace, _) => "use `-` or `_`".into(),
            (Flaw::Control, _) => "leave it out".into(),
            (Flaw::Wildcard, _) => "a topic is concrete: listen to patterns by `topics`".into(),
            (Flaw::PartialWildcard, None) => "a wildcard is a segment of its own, `*` or `**`".into(),
            (Flaw::PartialWildcard, Some(other)) => format!(
                "segments are separated by `{}` here, and these look separated by `{other}`: see `Builder::separator`",
                self.separator
            ),
            (Flaw::Separator(_), _) => "choose a sign: no letter, digit, `*`, white space or control character".into(),
        }
    }

    /// The separator that the text seems to have been written for, if it would be fine with that one.
    fn other_separator(&self) -> Option<char> {
        let is_candidate = |c: &char| can_separate(*c) && !matches!(c, '-' | '_') && *c != self.separator;
        let mut candidates = self.text.chars().filter(is_candidate);
        candidates.find(|&other| check(&self.text, other, self.kind).is_ok())
    }
}

/// As much of a text as fits a line.
struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Whether a bus can separate segments by this.
pub(crate) fn can_separate(c: char) -> bool {
    !(c == '*' || c.is_alphanumeric() || c.is_whitespace() || c.is_control())
}

/// The segments of a valid text. They are short: looking at one byte after the other beats a search made for long texts.
pub(crate) fn segments(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let ascii = u8::try_from(separator).ok().filter(u8::is_ascii);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = match ascii {
            Some(separator) => text.bytes().position(|byte| byte == separator),
            None => text.find(separator),
        };
        let segment = end.map_or(text, |end| &text[..end]);
        rest = end.map(|end| &text[end + separator.len_utf8()..]);
        Some(segment)
    })
}

#[cold]
fn check(text: &str, separator: char, kind: Kind) -> Result<(), TopicError> {
    let Err((at, flaw)) = find_flaw(text, separator, kind) else { return Ok(()) };
    // An error doesn't carry a megabyte around.
    let end = (0..=text.len().min(MAX_BYTES)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Err(TopicError { text: text[..end].into(), separator, kind, at: at.min(end), flaw })
}

/// Whether a text is a topic of plain ASCII, and so without a flaw, given a separator that can separate: sixteen bytes a step, where
/// the usual way decodes each character.
#[inline]
fn is_plain_topic(text: &str, separator: char) -> bool {
    let bytes = text.as_bytes();
    let (&[first, ..], &[.., last], Ok(separator)) = (bytes, bytes, u8::try_from(separator)) else { return false };
    if first == separator || last == separator || is_wrong(last) || !separator.is_ascii() || bytes.len() > MAX_BYTES {
        return false;
    }
    // More segments than there may be take more bytes than this, or an empty one, which is found below.
    if bytes.len() > 2 * MAX_SEGMENTS && bytes.split(|&byte| byte == separator).count() > MAX_SEGMENTS {
        return false;
    }
    if bytes.len() > STEP {
        return are_plain(bytes, separator);
    }
    let mut padded = [b'a'; STEP + 1];
    padded[..bytes.len()].copy_from_slice(bytes);
    are_plain(&padded, separator)
}

/// How many bytes are looked at at once.
const STEP: usize = 16;

/// Whether a byte is none of a plain topic's.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "without branches, sixteen bytes are looked at at once")]
fn is_wrong(byte: u8) -> bool {
    (byte.wrapping_sub(b'!') > b'~' - b'!') | (byte == b'*')
}

/// Whether all bytes of this text of more than [`STEP`] bytes, but the last, are a plain topic's, and none is a separator behind another.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "without branches, sixteen bytes are looked at at once")]
fn are_plain(bytes: &[u8], separator: u8) -> bool {
    let end = bytes.len() - 1 - STEP;
    let (mut at, mut wrong) = (0, [0; STEP]);
    // Each byte with the next one. The last step goes back, so that it ends with them.
    while let (Some(these), Some(next)) = (bytes[at..].first_chunk::<STEP>(), bytes[at + 1..].first_chunk::<STEP>()) {
        for n in 0..STEP {
            wrong[n] |= u8::from(is_wrong(these[n]) | (these[n] == separator) & (next[n] == separator));
        }
        if at == end {
            break;
        }
        at = (at + STEP).min(end);
    }
    // Compared with an array of zeros it would be compared byte by byte.
    wrong.into_iter().fold(0, |all, one| all | one) == 0
}

fn find_flaw(text: &str, separator: char, kind: Kind) -> Result<(), (usize, Flaw)> {
    if !can_separate(separator) {
        return Err((0, Flaw::Separator(separator)));
    }
    if text.is_empty() {
        return Err((0, Flaw::Empty));
    }
    if text.len() > MAX_BYTES {
        return Err((MAX_BYTES, Flaw::TooLong));
    }
    let mut start = 0;
    for (nth, segment) in text.split(separator).enumerate() {
        if nth == MAX_SEGMENTS {
            return Err((start, Flaw::TooDeep));
        }
        check_segment(segment, kind).map_err(|(at, flaw)| (start + at, flaw))?;
        start += segment.len() + separator.len_utf8();
    }
    Ok(())
}

fn check_segment(segment: &str, kind: Kind) -> Result<(), (usize, Flaw)> {
    match segment {
        "" => return Err((0, Flaw::EmptySegment)),
        STAR | GLOB if kind == Kind::Pattern => return Ok(()),
        _ => {}
    }
    let flaw = |c: char| match c {
        '*' if kind == Kind::Topic => Some(Flaw::Wildcard),
        '*' => Some(Flaw::PartialWildcard),
        c if c.is_whitespace() => Some(Flaw::WhiteSpace),
        c if c.is_control() => Some(Flaw::Control),
        _ => None,
    };
    match segment.char_indices().find_map(|(at, c)| Some((at, flaw(c)?))) {
        Some(found) => Err(found),
        None => Ok(()),
    }
}

macro_rules! name {
    ($type:ident) => {
        /// By `.`-separated segments, as [`parse`](Self::parse).
        impl FromStr for $type {
            type Err = TopicError;

            fn from_str(text: &str) -> Result<Self, TopicError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($type), self.as_str())
            }
        }
    };
}

name!(Topic);
name!(Pattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_flawless(text: &str, separator: char) -> bool {
        find_flaw(text, separator, Kind::Topic).is_ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn a_topic_is_plain_exactly_if_it_is_ascii_without_a_flaw(
            text in "[ab.:*é \\x00\\x1f\\x7f!~]{0,9}[ab.~]{0,30}",
            separator in prop::sample::select(&['.', ':', '!', '~', 'é', '→'][..]),
        ) {
            let wanted = text.is_ascii() && separator.is_ascii() && is_flawless(&text, separator);
            prop_assert_eq!(is_plain_topic(&text, separator), wanted);
        }

        #[test]
        fn segments_are_what_is_between_separators(text in "[ab.→]{0,12}", separator in prop::sample::select(&['.', '→'][..])) {
            prop_assert!(segments(&text, separator).eq(text.split(separator)));
        }
    }

    #[test]
    fn a_plain_topic_has_the_same_limits() {
        for segments in MAX_SEGMENTS - 1..=MAX_SEGMENTS + 1 {
            let text = vec!["a"; segments].join(".");
            assert_eq!(is_plain_topic(&text, '.'), is_flawless(&text, '.'), "{segments} segments");
        }
        for bytes in MAX_BYTES - 1..=MAX_BYTES + 1 {
            let text = "a".repeat(bytes);
            assert_eq!(is_plain_topic(&text, '.'), is_flawless(&text, '.'), "{bytes} bytes");
        }
        for at in 1..40 {
            let text = format!("{}..{}", "a".repeat(at), "a".repeat(9));
            assert!(!is_plain_topic(&text, '.'), "{text}");
        }
        for byte in 0..0x80_u8 {
            let text = format!("a{}b", char::from(byte));
            assert_eq!(is_plain_topic(&text, '.'), is_flawless(&text, '.'), "{text:?}");
        }
    }
}
