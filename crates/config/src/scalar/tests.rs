//! Every scalar from good and bad text, and what is said of the bad.

use super::*;
use crate::Settings;

/// Decodes `key = TOML` as a `T`; a failure is `message (help)`.
#[expect(clippy::needless_pass_by_value, reason = "reads better at the callers")]
fn check<T: Config + std::fmt::Debug + PartialEq>(toml: &str, expect: Result<T, &str>) {
    let settings = Settings::parse(&format!("key = {toml}")).unwrap();
    let decoded = settings.decode::<T>().map_err(|errors| errors.to_string());
    let decoded = decoded.as_ref().map_err(|error| error.trim_start_matches("error: "));
    assert_eq!(decoded, expect.as_ref().map_err(|error| *error), "{toml}");
}

#[test]
fn booleans() {
    check("true", Ok(true));
    check::<bool>("'true'", Err("`key` takes `true` or `false`, not a string (write `true`)"));
    check::<bool>(
        "1",
        Err("`key` takes `true` or `false`, not an integer (write `true` or `false`)"),
    );
    check("'${X:-false}'", Ok(false));
}

#[test]
fn integers() {
    check("7", Ok(7u8));
    check("'${X:-7}'", Ok(7u16));
    check::<u8>("'7'", Err("`key` takes an integer, not a string (write `7`)"));
    check::<u8>("7.0", Err("`key` takes an integer, not a number (write `7`)"));
    check::<u8>("256", Err("`key` must lie between 0 and 255 (write `255`)"));
    check::<u32>("-1", Err("`key` must lie between 0 and 4294967295 (write `0`)"));
}

#[test]
fn quantities_say_what_to_write() {
    check("'10s'", Ok(Duration::from_secs(10)));
    check::<Duration>("30", Err("`key` takes a duration, not a bare number (write `\"30s\"`)"));
    check::<Duration>("-3", Err("`key` cannot be negative (write `\"10s\"`)"));
    check::<Duration>("'5 minutes'", Err("\"5 minutes\" is not a duration (write `\"5m\"`)"));
    check::<Duration>("'soon'", Err("\"soon\" is not a duration (write `\"10s\"`)"));
    let stands = "\"${X:-5}\" is not a duration: it stands for \"5\" (write `\"5s\"`)";
    check::<Duration>("'${X:-5}'", Err(stands));
    check::<Duration>("true", Err("`key` takes a duration, not a boolean (write `\"10s\"`)"));
    check("'16KiB'", Ok(ByteSize(16_384)));
    check::<ByteSize>("16384", Err("`key` takes a size, not a bare number (write `\"16KiB\"`)"));
    check::<ByteSize>("'8k'", Err("\"8k\" is not a size (write `\"8KiB\"`)"));
    check::<Rate>("240", Err("`key` takes a rate, not a bare number (write `\"240B/s\"`)"));
    check::<Rate>("'1MB'", Err("\"1MB\" is not a rate (write `\"1MB/s\"`)"));
    check::<Rate>("'1MBps'", Err("\"1MBps\" is not a rate (write `\"1MB/s\"`)"));
}

#[test]
fn off_is_the_word_for_no_limit() {
    check("'off'", Ok(Off::<Duration>(None)));
    check("'1s'", Ok(Off(Some(Duration::from_secs(1)))));
    let zero = "`key` cannot be 0 (write `\"off\"` for no limit)";
    check::<Off<Duration>>("0", Err(zero));
    check::<Off<Duration>>("'0s'", Err(zero));
    check::<Off<u32>>("0", Err(zero));
    check::<Off<ByteSize>>("'0B'", Err(zero));
}

#[test]
fn lists_and_maps_look_at_every_item() {
    check("['a', 'b']", Ok(vec!["a".to_owned(), "b".to_owned()]));
    check::<Vec<String>>(
        "'a'",
        Err("`key` takes a list of strings, not a string (write `[\"a\"]`)"),
    );
    let settings = Settings::parse("key = [1, 'b', true]").unwrap();
    assert_eq!(settings.decode::<Vec<String>>().unwrap_err().len(), 2);
    let settings = Settings::parse("key = { b = 1, a = 'x', c = 'y' }").unwrap();
    assert_eq!(settings.decode::<Map<u8>>().unwrap_err().len(), 2);
    let settings = Settings::parse("key = { b = 1, a = 2 }").unwrap();
    let map: Map<u8> = settings.decode().unwrap();
    let names: Vec<&str> = map.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}
