//! What holds for every kind: its name, its documents, its example.

use super::KINDS;
use crate::testing::refusal;

#[test]
fn every_kind_is_named_documented_and_has_an_example_that_builds() {
    stead_testing::check_kinds(KINDS, env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn every_example_builds() {
    for kind in KINDS {
        assert_eq!(refusal(kind.facts().example).len(), 0, "{}", kind.name);
    }
}
