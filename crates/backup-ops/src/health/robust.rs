//! Statistics that a single odd value does not move.

/// Returns the median; nothing of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle - 1)?, upper))
}

/// Returns the slope of a line through points: the median of the slopes of all pairs. Nothing
/// when no two points differ in `x`.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(number, a)| {
        points.iter().skip(number + 1).map(move |b| (b.0 - a.0, b.1 - a.1))
    });
    let slopes: Vec<f64> = pairs.filter(|(x, _)| *x != 0.0).map(|(x, y)| y / x).collect();
    median(&slopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_found_whatever_one_point_says(
            slope_ in -1e6..1e6_f64,
            begin in -1e9..1e9_f64,
            odd in 0..12_usize,
            wrong in -1e12..1e12_f64,
        ) {
            let mut points: Vec<(f64, f64)> =
                (0..12).map(|x| (f64::from(x), begin + slope_ * f64::from(x))).collect();
            points[odd].1 = wrong;
            let found = slope(&points).unwrap();
            prop_assert!((found - slope_).abs() <= 1e-6 * (1.0 + begin.abs() + slope_.abs()));
        }

        #[test]
        fn a_median_lies_in_the_middle_and_heeds_no_order(
            mut values in prop::collection::vec(-1e9..1e9_f64, 1..40),
        ) {
            let middle = median(&values).unwrap();
            let half = values.len().div_ceil(2);
            prop_assert!(values.iter().filter(|value| **value <= middle).count() >= half);
            prop_assert!(values.iter().filter(|value| **value >= middle).count() >= half);
            values.reverse();
            prop_assert_eq!(median(&values), Some(middle));
        }
    }

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!((median(&[]), slope(&[(1.0, 1.0)])), (None, None));
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 5.0)]), None);
    }
}
