//! Which packs a rotating sample reads: pure.

use backup_core::PackId;

/// Returns the packs to read this time, and where to go on: starting after `cursor`, in id
/// order and around the end, as many as make up `percent` of all bytes (at least one).
pub(crate) fn choose(
    mut packs: Vec<(PackId, u64)>,
    cursor: Option<PackId>,
    percent: u8,
) -> (Vec<PackId>, Option<PackId>) {
    packs.sort_unstable();
    let total: u64 = packs.iter().map(|(_, bytes)| bytes).sum();
    let wanted = total.saturating_mul(u64::from(percent.clamp(1, 100))).div_ceil(100);
    let start = cursor.map_or(0, |cursor| packs.partition_point(|(id, _)| *id <= cursor));
    let turn = start.checked_rem(packs.len()).unwrap_or(0);
    packs.rotate_left(turn);
    let mut chosen = Vec::new();
    let mut bytes = 0;
    for (id, size) in packs {
        if bytes >= wanted && !chosen.is_empty() {
            break;
        }
        bytes += size;
        chosen.push(id);
    }
    let next = chosen.last().copied();
    (chosen, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(byte: u8) -> PackId {
        PackId([byte; 16])
    }

    #[test]
    fn ten_samples_of_a_tenth_cover_everything() {
        let packs: Vec<_> = (0..40).map(|byte| (pack(byte), 100)).collect();
        let mut cursor = None;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let (chosen, next) = choose(packs.clone(), cursor, 10);
            assert_eq!(chosen.len(), 4);
            seen.extend(chosen);
            cursor = next;
        }
        assert_eq!(seen.len(), 40);
        // Around the end, and after packs came and went.
        assert_eq!(choose(packs.clone(), Some(pack(39)), 10).0[0], pack(0));
        assert_eq!(choose(packs, Some(pack(200)), 10).0[0], pack(0));
    }

    #[test]
    fn a_sample_is_never_empty_unless_there_is_nothing() {
        assert_eq!(choose(vec![(pack(1), 1 << 30), (pack(2), 1)], None, 1).0, [pack(1)]);
        assert_eq!(choose(Vec::new(), None, 10), (Vec::new(), None));
    }
}
