//! Lists whose elements a client weighs: `Accept`, `Accept-Encoding` and such.
//!
//! Source: RFC 9110 §12.4.2.

/// Weights are thousandths.
const WEIGHT_MAX: u16 = 1_000;

/// The elements of a weighted list: what each names, and its weight in thousandths. An element
/// whose weight cannot be read is left out.
pub fn elements(value: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    value.split(|byte| *byte == b',').filter_map(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let named = parts.next().filter(|named| !named.is_empty())?;
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => Some(parse_weight(weight)),
            _ => None,
        });
        Some((named, weight.unwrap_or(Some(WEIGHT_MAX))?))
    })
}

/// `0`, `1`, or either with up to three decimals.
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => WEIGHT_MAX,
        _ => return None,
    };
    for (digit, unit) in decimals.iter().zip([100, 10, 1]) {
        weight +=
            if digit.is_ascii_digit() { u16::from(digit - b'0') * unit } else { return None };
    }
    (weight <= WEIGHT_MAX).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_without_a_readable_weight_are_left_out() {
        let read = |text: &'static str| elements(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(read("a/b; x=1;q=0.25, ,c"), [(&b"a/b"[..], 250), (&b"c"[..], 1_000)]);
        assert_eq!(read("a;q=2, b;q=0.0001, c;q=x, d;q="), []);
    }

    proptest! {
        #[test]
        fn no_weight_is_above_one(text in "[ -~]{0,60}") {
            elements(text.as_bytes()).for_each(|(_, weight)| assert!(weight <= WEIGHT_MAX));
        }
    }
}
