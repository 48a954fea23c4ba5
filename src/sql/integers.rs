//! Long lists of whole numbers, eight bytes at a time.
//!
//! Owns: the way over `1, 22, 333, ` when nothing but digits, commas and blanks is there. An
//! ordinary list of ids is most of some statements; byte by byte it costs three times as much.
// HOT

use super::bytes::{HIGH, equals, is_between, word_at};

/// Behind the last comma up to which `text` holds whole numbers and commas in turn, from `at` on.
/// `at` itself if there is none; it must be the begin of an element.
///
/// All masks have one bit a byte, its highest.
#[inline]
pub fn skip(text: &[u8], at: usize) -> usize {
    let mut resume = at;
    let mut from = at;
    let mut last_is_digit = 0;
    // All bits set while a comma must come next, none while a number must.
    let mut awaits_comma = 0u64;
    while from + 8 <= text.len() {
        let word = word_at(text, from);
        let digits = is_between(word, b'0', b'9');
        let commas = equals(word, b',');
        let blanks = equals(word, b' ');
        if digits | commas | blanks != HIGH {
            break;
        }
        let starts = digits & !(digits << 8 | last_is_digit);
        let events = starts | commas;
        // A byte's bit of `parity`: the number of events up to and with it is odd.
        let mut parity = events ^ (events << 8);
        parity ^= parity << 16;
        parity ^= parity << 32;
        parity ^= awaits_comma;
        // A number and a comma in turn: odd at every start, even at every comma.
        if parity & events != starts {
            break;
        }
        if commas != 0 {
            resume = from + 8 - commas.leading_zeros() as usize / 8;
        }
        last_is_digit = digits >> 56;
        awaits_comma = 0u64.wrapping_sub(parity >> 63);
        from += 8;
    }
    resume
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and commas in turn, said the slow way.
    fn slowly(text: &str) -> usize {
        let whole = text.len() / 8 * 8;
        let mut resume = 0;
        for (at, _) in text[..whole].match_indices(',') {
            let items = text[..at].split(',');
            let is_number = |item: &str| {
                let item = item.trim_matches(' ');
                !item.is_empty() && item.bytes().all(|b| b.is_ascii_digit())
            };
            if items.clone().all(is_number) {
                resume = at + 1;
            }
        }
        resume
    }

    #[test]
    fn only_numbers_and_commas_in_turn_are_skipped() {
        let alphabet = ['1', '1', '2', ',', ',', ' '];
        let mut seed = 1u64;
        let (mut skipped, mut refused) = (0, 0);
        for _ in 0..4000 {
            let mut text = String::new();
            for _ in 0..48 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let wild = alphabet[(seed >> 33) as usize % 6];
                let tame = ["7, ", "12,", "345 ,"][(seed >> 40) as usize % 3];
                if (seed >> 50).is_multiple_of(24) {
                    text.push(wild)
                } else {
                    text.push_str(tame)
                }
            }
            let at = skip(text.as_bytes(), 0);
            let most = slowly(&text);
            // Blocks are taken or left whole.
            assert!(
                at <= most && (at == most || most - at <= 16 || at == 0),
                "{text:?} {at} {most}"
            );
            assert!(
                at == 0 || slowly(&format!("{}{}", &text[..at], " ".repeat(8))) == at,
                "{text:?}"
            );
            skipped += usize::from(at > 0);
            refused += usize::from(at == 0);
        }
        assert!(skipped > 100 && refused > 100, "{skipped} {refused}");
    }
}
