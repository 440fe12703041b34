//! Format 1, as it was first written, is read for ever.

#[test]
fn names_of_a_new_repository() {}
