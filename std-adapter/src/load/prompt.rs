//! Synthetic prompts: the same prompt each time would measure the server's cache.

use rand::Rng;
use rand::rngs::StdRng;

/// Common words, each of which most tokenizers take for one token with the space before it.
const WORDS: [&str; 64] = [
    "about",
    "after",
    "again",
    "air",
    "animal",
    "answer",
    "because",
    "before",
    "between",
    "body",
    "book",
    "change",
    "city",
    "country",
    "day",
    "different",
    "earth",
    "end",
    "every",
    "example",
    "family",
    "father",
    "find",
    "follow",
    "form",
    "great",
    "group",
    "hand",
    "head",
    "help",
    "home",
    "house",
    "idea",
    "important",
    "kind",
    "large",
    "learn",
    "letter",
    "life",
    "light",
    "line",
    "long",
    "mother",
    "move",
    "name",
    "number",
    "paper",
    "part",
    "people",
    "place",
    "plant",
    "point",
    "question",
    "river",
    "school",
    "sentence",
    "story",
    "study",
    "system",
    "time",
    "water",
    "white",
    "world",
    "year",
];

/// A prompt of so many words, drawn at random.
pub(super) fn synthetic(words: u16, random: &mut StdRng) -> String {
    let mut text = String::with_capacity(usize::from(words) * 7);
    for place in 0..words {
        if place > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[random.random_range(0..WORDS.len())]);
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn prompts_have_their_length_vary_and_repeat_by_seed() {
        let prompt = |seed| synthetic(100, &mut StdRng::seed_from_u64(seed));
        assert_eq!(prompt(1).split(' ').count(), 100);
        assert_eq!(prompt(1), prompt(1));
        assert_ne!(prompt(1), prompt(2));
        assert_eq!(synthetic(0, &mut StdRng::seed_from_u64(0)), "");
    }
}
