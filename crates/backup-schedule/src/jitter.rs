//! Spreading jobs over time without chance: the same job always gets the same share.

use std::time::Duration;

/// Returns a share of `most`, below it, in whole milliseconds; always the same for the same `name`.
#[must_use]
pub fn jitter(name: &str, most: Duration) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    if most == 0 {
        return Duration::ZERO;
    }
    // In u128 so that nothing overflows; the quotient is below `most`.
    let share = (u128::from(mix(name)) * u128::from(most)) >> 64;
    Duration::from_millis(u64::try_from(share).unwrap_or(0))
}

/// FNV-1a, then the finalizer of SplitMix64, without which similar names get similar shares.
fn mix(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_for_ever_and_spreads_similar_names() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jitter("backup shop", hour), jitter("backup shop", hour));
        assert_eq!(jitter("anything", Duration::ZERO), Duration::ZERO);
        let mut quarters = [0; 4];
        for number in 0..1000 {
            let share = jitter(&format!("backup source-{number}"), hour);
            assert!(share < hour);
            quarters[usize::try_from(share.as_secs() / 900).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (200..300).contains(count)), "{quarters:?}");
    }

    /// A new version must not move everybody's nightly backup.
    #[test]
    fn the_shares_are_pinned() {
        let day = Duration::from_secs(86_400);
        assert_eq!(jitter("backup shop", day).as_millis(), PINNED);
    }

    const PINNED: u128 = 22_314_197;
}
