//! A retention policy as text: what is read is printed and read again the same.
#![no_main]

use backup_retention::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(policy) = text.parse::<Policy>() {
        let again = policy.to_string().parse::<Policy>();
        assert!(again.is_ok_and(|again| again == policy));
    }
});
