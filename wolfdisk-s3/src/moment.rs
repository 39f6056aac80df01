//! Times: of inodes, of S3's answers, of conditions.

use s3s::dto::{Timestamp as Shown, TimestampFormat};
use time::OffsetDateTime;
use wolfdisk_common::time::Timestamp;

/// The last second that a date with a year of four digits can name.
const LAST_SECOND: i64 = 253_402_300_799;

/// The time of an inode as S3 shows it; what a date cannot say becomes the nearest that it can.
pub fn shown(time: Timestamp) -> Shown {
    let seconds = time.seconds.clamp(0, LAST_SECOND);
    let nanos = if seconds == time.seconds {
        time.nanos
    } else {
        0
    };
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .into()
}

/// Seconds since 1970 of a date in a request.
pub fn seconds(time: &Shown) -> i64 {
    OffsetDateTime::from(time.clone()).unix_timestamp()
}

/// As a header says it.
pub fn http_date(time: &Shown) -> String {
    let mut text = Vec::new();
    match time.format(TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// What [`http_date`] wrote.
pub fn from_http_date(text: &str) -> Option<Shown> {
    Shown::parse(TimestampFormat::HttpDate, text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_dates_are_brought_to_the_nearest() {
        let of = |seconds, nanos| seconds_of(&shown(Timestamp { seconds, nanos }));
        fn seconds_of(time: &Shown) -> i64 {
            seconds(time)
        }
        assert_eq!(of(5, 999_999_999), 5);
        assert_eq!(of(-5, 1), 0);
        assert_eq!(of(i64::MAX, 1), LAST_SECOND);
    }

    #[test]
    fn a_date_comes_back() {
        let time = shown(Timestamp {
            seconds: 784_111_777,
            nanos: 0,
        });
        assert_eq!(http_date(&time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(from_http_date(&http_date(&time)), Some(time));
        assert_eq!(from_http_date("0"), None);
    }
}
