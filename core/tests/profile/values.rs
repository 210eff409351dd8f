//! Properties of values that are written as text.

use nucleus_core::profile::values::{ByteSize, Cpus, Duration, UserSpec};
use proptest::prelude::*;

proptest! {
    #[test]
    fn sizes_survive_being_written(bytes in 0..=i64::MAX as u64) {
        let size = ByteSize::from_bytes(bytes).unwrap();
        prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
    }

    #[test]
    fn round_sizes_are_written_short(count in 1u64..1024, shift in prop::sample::select(vec![10u32, 20, 30, 40])) {
        let size = ByteSize::from_bytes(count << shift).unwrap();
        prop_assert!(size.to_string().len() <= 5, "{}", size);
        prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
    }

    #[test]
    fn durations_survive_being_written(nanos in any::<u64>()) {
        let span = Duration::from_std(std::time::Duration::from_nanos(nanos)).unwrap();
        prop_assert_eq!(span.to_string().parse::<Duration>(), Ok(span));
    }

    #[test]
    fn cpus_survive_being_written(milli in 10u32..8_192_000) {
        let cpus: Cpus = format!("{}.{:03}", milli / 1000, milli % 1000).parse().unwrap();
        prop_assert_eq!(cpus.milli(), milli);
        prop_assert_eq!(cpus.to_string().parse::<Cpus>(), Ok(cpus));
    }

    /// CVE-2026-30892: what is accepted is understood to the last character.
    #[test]
    fn an_accepted_user_says_exactly_what_was_written(text in "[0-9a-z_:+x.$ -]{0,24}") {
        if let Ok(user) = text.parse::<UserSpec>() {
            prop_assert_eq!(user.to_string(), text);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,40}") {
        let parsed = [
            text.parse::<ByteSize>().is_ok_and(|size| size.bytes() > i64::MAX as u64),
            text.parse::<Cpus>().is_ok_and(|cpus| cpus.milli() < 10),
            text.parse::<Duration>().is_ok_and(|span| span.as_std().as_nanos() > u128::from(u64::MAX)),
        ];
        prop_assert_eq!(parsed, [false; 3]);
    }
}
