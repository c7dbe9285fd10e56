//! Text for people: lines of at most [`WIDTH`] columns, made printable, and coloured if the reader wants that.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::printable;

/// No line is wider, in columns of a terminal.
pub(crate) const WIDTH: usize = 80;
/// Columns between two items of a line.
const GAP: usize = 3;

/// What a reader is to make of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// To be looked at.
    Caution,
    /// It failed.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Caution => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Lines of text as they are made.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    is_coloured: bool,
    /// Columns used of the last line, and those that a continuation of it leaves free.
    column: usize,
    hanging: usize,
    /// Nothing but the beginning is on the last line.
    is_fresh: bool,
}

impl Page {
    /// An empty page; `is_coloured` if what reads it shows colours.
    pub(crate) fn new(is_coloured: bool) -> Self {
        Self { text: String::new(), is_coloured, column: 0, hanging: 0, is_fresh: true }
    }

    /// All lines.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line that begins with `start` and has these items behind it, three spaces apart. Items that have no room stand on
    /// further lines, below the first one; each is kept in one piece if it fits a line.
    pub(crate) fn items<T: AsRef<str>>(&mut self, start: &str, items: impl IntoIterator<Item = (T, Tone)>) {
        self.begin(start, width(start));
        for (item, tone) in items {
            self.item(&printable(item.as_ref()), tone);
        }
        self.text.push('\n');
    }

    /// As [`items`](Self::items), none of which stands out.
    pub(crate) fn line<T: AsRef<str>>(&mut self, start: &str, items: impl IntoIterator<Item = T>) {
        self.items(start, items.into_iter().map(|item| (item, Tone::Plain)));
    }

    /// Words behind `start`, in as many lines as they need; further lines are indented by `hanging` columns.
    pub(crate) fn words(&mut self, start: &str, hanging: usize, words: &str, tone: Tone) {
        self.begin(start, hanging);
        let mut gap = usize::from(!start.is_empty() && !start.ends_with(' '));
        for word in printable(words).split_whitespace() {
            self.word(word, gap, tone);
            gap = 1;
        }
        self.text.push('\n');
    }

    /// A line as it is, without the spaces at its end. It is the caller's to make it printable and short.
    pub(crate) fn raw(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn begin(&mut self, start: &str, hanging: usize) {
        self.text.push_str(start);
        (self.column, self.hanging, self.is_fresh) = (width(start), hanging.min(WIDTH / 2), true);
    }

    fn item(&mut self, item: &str, tone: Tone) {
        let gap = if self.is_fresh { 0 } else { GAP };
        let columns = width(item);
        if self.hanging + columns <= WIDTH {
            return self.word(item, gap, tone);
        }
        let mut gap = gap;
        for word in item.split_whitespace() {
            self.word(word, gap, tone);
            gap = 1;
        }
    }

    /// Adds what is kept in one piece if a line has room for it.
    fn word(&mut self, word: &str, gap: usize, tone: Tone) {
        let columns = width(word);
        if self.column + gap + columns <= WIDTH {
            self.text.extend(std::iter::repeat_n(' ', gap));
            self.column += gap;
        } else if !self.is_fresh || self.hanging < self.column {
            self.break_line();
        }
        let mut rest = word;
        loop {
            let fits = prefix(rest, WIDTH.saturating_sub(self.column).max(2));
            self.push(&rest[..fits], tone);
            rest = &rest[fits..];
            if rest.is_empty() {
                return;
            }
            self.break_line();
        }
    }

    fn push(&mut self, text: &str, tone: Tone) {
        let style = if self.is_coloured { tone.style() } else { Style::new() };
        let _ = write!(self.text, "{style}{text}{style:#}");
        self.column += width(text);
        self.is_fresh = false;
    }

    fn break_line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', self.hanging));
        (self.column, self.is_fresh) = (self.hanging, true);
    }
}

/// The columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// How many bytes of the text fit so many columns; at least one character does.
fn prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let beyond = text.char_indices().find(|(at, c)| {
        used += c.width().unwrap_or(0);
        used > columns && *at > 0
    });
    beyond.map_or(text.len(), |(at, _)| at)
}

/// The text filled up with spaces to so many columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// The start of a text that fits so many columns, with a mark if that is not all of it.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let fits = prefix(text, columns.saturating_sub(1).max(1));
    format!("{}…", &text[..fits])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(act: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(false);
        act(&mut page);
        page.into_text()
    }

    #[test]
    fn items_stand_below_the_first_when_a_line_is_full() {
        let text = page(|page| page.line("   counts   ", ["a".repeat(30), "b".repeat(30), "c d".to_owned()]));
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("   counts   {}   {}", "a".repeat(30), "b".repeat(30)));
        assert_eq!(second, "            c d\n");
    }

    #[test]
    fn long_words_are_broken_and_nothing_is_lost() {
        let text = page(|page| page.words("WARNING:", 3, &format!("x {} y", "z".repeat(200)), Tone::Caution));
        assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
        assert_eq!(text.replace(['\n', ' '], ""), format!("WARNING:x{}y", "z".repeat(200)));
    }

    #[test]
    fn colours_change_nothing_else() {
        let make = |is_coloured| {
            let mut page = Page::new(is_coloured);
            page.items("run", [("FAILED", Tone::Bad), ("complete", Tone::Plain), ("\u{1b}[31m", Tone::Good)]);
            page.into_text()
        };
        assert_eq!(make(false), "runFAILED   complete   \u{fffd}[31m\n");
        assert_eq!(make(true), "run\u{1b}[1m\u{1b}[31mFAILED\u{1b}[0m   complete   \u{1b}[32m\u{fffd}[31m\u{1b}[0m\n");
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!((cut("abc", 3).as_str(), cut("abcd", 3).as_str()), ("abc", "ab…"));
        assert_eq!(cut("測定測定", 5), "測定…");
        assert_eq!(padded("測", 4), "測  ");
    }

    proptest! {
        #[test]
        fn no_line_is_wider(items in proptest::collection::vec("\\PC{0,120}|[ -~測é\u{301}]{0,40}", 0..8), start in " {0,20}") {
            let text = page(|page| {
                page.line(&start, &items);
                page.words(&start, 4, &items.join(" "), Tone::Plain);
            });
            prop_assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
        }
    }
}
