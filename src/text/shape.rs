//! Invisible characters that shape a visible one: in emoji, and in scripts that are written with them.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _};

use super::{is_hidden, shows};

pub(super) const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
pub(super) const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// The emoji that the flags of regions (England, Scotland) begin with, and the tag that ends them.
pub(super) const BLACK_FLAG: char = '\u{1f3f4}';
const CANCEL_TAG: char = '\u{e007f}';
/// The number of letters between the two, such as `gbsct`.
const REGION: std::ops::RangeInclusive<usize> = 3..=6;

/// Whether a joiner shapes its neighbours.
pub(super) fn joins(joiner: char, before: Option<char>, next: Option<char>) -> bool {
    let Some(before) = before else { return false };
    let emoji = joiner == ZERO_WIDTH_JOINER && (is_emoji(before) || before == '\u{fe0f}') && next.is_some_and(is_emoji);
    // Some words end with a joiner.
    emoji || is_shaped(before)
}

/// Whether a variation selector follows a character that has variants.
pub(super) fn varies(selector: char, before: Option<char>, next: Option<char>) -> bool {
    let Some(before) = before else { return false };
    let mongolian = |c: char| matches!(c, '\u{1820}'..='\u{18aa}');
    match selector {
        '\u{fe0e}' | '\u{fe0f}' => is_emoji(before) || (before.is_emoji_char() && next == Some('\u{20e3}')),
        '\u{fe00}'..='\u{fe0d}' => !before.is_ascii() && shows(before),
        '\u{e0100}'..='\u{e01ef}' => before.general_category() == GeneralCategory::OtherLetter,
        '\u{180b}'..='\u{180d}' | '\u{180f}' => mongolian(before),
        '\u{180e}' => mongolian(before) && next.is_some_and(mongolian),
        _ => false,
    }
}

/// Digits are emoji by category too, but only with a keycap.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char_or_emoji_component() && !is_hidden(c)
}

/// Letters and marks of scripts in which a letter's shape depends on its neighbours: the Semitic, Indic and Mongolian ones.
fn is_shaped(c: char) -> bool {
    let script = matches!(
        c,
        '\u{590}'..='\u{109f}' | '\u{1700}'..='\u{1cff}' | '\u{a800}'..='\u{aaff}' | '\u{abc0}'..='\u{abff}'
            | '\u{fb1d}'..='\u{fdcf}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}'
    );
    script && matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
}

/// The tags that make a black flag the flag of a region; `None` if they do not.
pub(super) fn region(rest: &str) -> &str {
    let letters =
        rest.chars().take_while(|c| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}')).count();
    let end = rest.char_indices().nth(letters).filter(|(_, c)| REGION.contains(&letters) && *c == CANCEL_TAG);
    end.and_then(|(at, c)| rest.get(..at + c.len_utf8())).unwrap_or_default()
}
