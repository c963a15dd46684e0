//! Texts that people see: invisible characters, and those that change the direction of a line, are removed from them.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

mod shape;

use shape::{BLACK_FLAG, ZERO_WIDTH_JOINER, ZERO_WIDTH_NON_JOINER, joins, region, varies};

/// The text without its invisible characters, cut to `most` characters; `None` if nothing is left. Joiners, variation selectors and tags
/// stay where they shape a visible character: in emoji, and in scripts that are written with them.
pub fn clean(text: &str, most: usize) -> Option<Box<str>> {
    // Most texts are plain, and then nothing has to be looked up in tables.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let text = text.trim_start_matches(' ');
        let cut = text.get(..most).unwrap_or(text).trim_end_matches(' ');
        return (!cut.is_empty()).then(|| cut.into());
    }
    clean_any(text, most)
}

fn clean_any(text: &str, most: usize) -> Option<Box<str>> {
    let cut: String = sift(text).chars().take(most).collect();
    // The cut may have gone through an emoji.
    let whole = sift(&cut);
    let whole = whole.trim_end_matches(is_blank);
    whole.chars().any(shows).then(|| whole.into())
}

/// Whether the text would change the direction of the line that contains it.
pub fn is_turning(text: &str) -> bool {
    text.chars().any(turns)
}

/// The text for a table: characters that would turn its line around, or break it, are escaped.
pub fn spell(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for c in text.chars() {
        if turns(c) || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            spelled.extend(c.escape_unicode());
        } else {
            spelled.push(c);
        }
    }
    spelled
}

fn sift(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let before = clean.chars().next_back();
        let next = rest.clone().next();
        match c {
            ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER if joins(c, before, next) => clean.push(c),
            _ if varies(c, before, next) => clean.push(c),
            '\u{2028}' | '\u{2029}' if before.is_some() => clean.push(' '),
            _ if is_hidden(c) => {}
            // Nothing precedes it that it could modify.
            _ if (is_blank(c) && before.is_none()) || (is_mark(c) && before.is_none_or(is_blank)) => {}
            BLACK_FLAG => {
                clean.push(c);
                let tags = region(rest.as_str());
                clean.push_str(tags);
                rest = rest.as_str().get(tags.len()..).unwrap_or_default().chars();
            }
            _ => clean.push(c),
        }
    }
    clean
}

/// Whether the character is visible by itself.
fn shows(c: char) -> bool {
    !is_blank(c) && !is_mark(c) && !is_hidden(c)
}

fn is_blank(c: char) -> bool {
    // The blank of Braille is a cell without dots.
    c.is_whitespace() || c == '\u{2800}'
}

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

/// Whether the character changes the direction of what follows it.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether the character is invisible by itself: controls, formats, what Unicode calls ignorable, and noncharacters.
fn is_hidden(c: char) -> bool {
    match c {
        // The signs under numbers and names are formats by category, but visible.
        '\u{600}'..='\u{605}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'
        | '\u{891}'
        | '\u{8e2}'
        | '\u{110bd}'
        | '\u{110cd}' => false,
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2065}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fdd0}'..='\u{fdef}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}'
        | '\u{1d159}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => {
            u32::from(c) & 0xfffe == 0xfffe
                || matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that people have.
    const KEPT: [&str; 40] = [
        "Ana",
        "O'Neil-Smith, 3rd",
        "Zoë Ångström",
        "e\u{301}lodie",
        "Nguyễn Thị Hạnh",
        "山田　太郎",
        "葛\u{e0100}城",
        "㐂\u{fe00}",
        "김철수",
        "\u{1100}\u{1161}\u{11a8}",
        "محمد",
        "می\u{200c}خواهم",
        "ه\u{200d}",
        "דָּוִד",
        "שלום Ana 7",
        "ܐܪܡܝܐ",
        "क्\u{200d}ष",
        "श्\u{200c}री",
        "ശ്രീ\u{200c}ലത",
        "അവന്\u{200d}",
        "র\u{200d}্যাব",
        "ශ්\u{200d}රී",
        "สมชาย",
        "ᠮᠣᠩᠭᠣᠯ\u{180b}",
        "བཀྲ་ཤིས",
        "Ñandú ☂ № 5 €",
        "😀",
        "👍🏽",
        "❤\u{fe0f}",
        "❤\u{fe0f}\u{200d}🔥",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "👩🏽\u{200d}🚀",
        "🏳\u{fe0f}\u{200d}🌈",
        "🧑\u{200d}🦽\u{200d}➡\u{fe0f}",
        "🏴\u{200d}☠\u{fe0f}",
        "🇩🇪🇫🇷",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Ailsa",
        "1\u{fe0f}\u{20e3} #\u{fe0f}\u{20e3}",
        "⠁⠝⠁⠀⠃",
    ];

    /// What shows nothing, alone and together.
    const NOTHING: [&str; 30] = [
        "",
        " \t\n",
        "\u{a0}\u{2003}\u{3000}\u{1680}",
        "\u{0}\u{7f}\u{85}",
        "\u{ad}",
        "\u{34f}",
        "\u{61c}",
        "\u{115f}\u{1160}",
        "\u{17b4}\u{17b5}",
        "\u{180b}\u{180e}\u{180f}",
        "\u{200b}",
        "\u{200c}\u{200d}\u{200d}",
        "\u{200e}\u{200f}",
        "\u{2028}\u{2029}",
        "\u{202a}\u{202c}\u{202e}",
        "\u{2060}\u{2061}\u{2064}",
        "\u{2066}\u{2067}\u{2068}\u{2069}",
        "\u{206a}\u{206f}",
        "\u{2800}\u{2800}",
        "\u{3164}",
        "\u{fe0f}\u{fe00}",
        "\u{feff}",
        "\u{ffa0}",
        "\u{fff9}\u{fffb}",
        "\u{fdd0}\u{ffff}\u{10fffe}",
        "\u{1d159}\u{1d173}",
        "\u{e0001}\u{e0067}\u{e0062}\u{e007f}",
        "\u{e0100}\u{e01ef}",
        "\u{301}\u{308}\u{20dd}",
        " \u{301} \u{3164}\u{200d}\u{2800}\u{fe0f} ",
    ];

    /// What is left out of a name of which something is left.
    const CLEANED: [(&str, &str); 22] = [
        ("  Ana \u{3164}", "Ana"),
        ("A\u{200b}n\u{ad}a\u{2060}", "Ana"),
        ("\u{feff}Ana", "Ana"),
        ("\u{202e}anA", "anA"),
        ("Ana\u{202e}txt.exe\u{202c}", "Anatxt.exe"),
        ("\u{2067}Ana\u{2069} \u{2066}B\u{2069}", "Ana B"),
        ("\u{200f}Ana\u{200e}", "Ana"),
        ("محمد\u{200f}", "محمد"),
        ("An\u{200d}a\u{200c}", "Ana"),
        ("Ana\u{fe0f}", "Ana"),
        ("1\u{fe0f}", "1"),
        ("Ana\u{e0100}\u{e0067}\u{e007f}", "Ana"),
        ("🏴\u{e0067}\u{e0062}", "🏴"),
        ("🏴\u{e007f}", "🏴"),
        ("😀\u{200d}", "😀"),
        ("😀\u{200d} Ana", "😀 Ana"),
        ("می\u{200c}\u{200c}\u{200d}خ", "می\u{200c}خ"),
        ("\u{301}Ana", "Ana"),
        ("Ana\u{2028}Ben", "Ana Ben"),
        ("Ana\nBen", "AnaBen"),
        ("\u{2800}Ana\u{2800}", "Ana"),
        ("김\u{115f}\u{1160}\u{ffa0}철수", "김철수"),
    ];

    #[test]
    fn names_that_people_have_stay() {
        for name in KEPT {
            assert_eq!(clean(name, 64).as_deref(), Some(name), "{}", name.escape_unicode());
            assert!(!is_turning(name), "{}", name.escape_unicode());
        }
    }

    #[test]
    fn what_shows_nothing_is_no_name() {
        for name in NOTHING {
            assert_eq!(clean(name, 64), None, "{}", name.escape_unicode());
        }
        let everything = NOTHING.concat();
        assert_eq!(clean(&everything, 64), None);
        assert_eq!(clean(&format!("{everything}x{everything}"), 64).as_deref(), Some("x"));
    }

    #[test]
    fn what_can_be_seen_is_left() {
        for (name, left) in CLEANED {
            assert_eq!(clean(name, 64).as_deref(), Some(left), "{}", name.escape_unicode());
            assert_eq!(clean(left, 64).as_deref(), Some(left), "once is enough");
        }
    }

    #[test]
    fn a_cut_leaves_no_half_emoji() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(clean(family, 4).as_deref(), Some("👨\u{200d}👩"));
        let flag = format!("A{}", KEPT[36]);
        assert_eq!(clean(&flag, 7).as_deref(), Some("A🏴"));
        assert_eq!(clean("Ana Ben", 4).as_deref(), Some("Ana"));
        assert_eq!(clean(&format!("{}Ana", "\u{200b}".repeat(99)), 3).as_deref(), Some("Ana"));
    }

    #[test]
    fn a_table_stays_in_its_lines() {
        for turning in ["\u{202e}mlif", "film\u{2066}", "film\u{200f}", "\u{200e}film", "\u{61c}film"] {
            assert!(is_turning(turning) && !is_turning(&spell(turning)), "{}", turning.escape_unicode());
        }
        assert_eq!(spell("a\u{202e}b\nc\u{2028}é👩\u{200d}🚀"), "a\\u{202e}b\\u{a}c\\u{2028}é👩\u{200d}🚀");
    }

    #[test]
    fn plain_texts_are_cleaned_as_all_others_are() {
        let every: Vec<char> = (' '..='~').collect();
        for first in &every {
            for second in &every {
                for most in 1..4 {
                    let text: String = [' ', *first, *second, 'x', ' '].iter().collect();
                    assert_eq!(clean(&text, most), clean_any(&text, most), "{text:?} cut to {most}");
                }
            }
        }
        assert_eq!(clean("  ", 9), None);
    }
}
