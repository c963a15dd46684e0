//! The first bytes of a connection that a balancer passes on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::http::fuzzing::{Opened, open};

fuzz_target!(|data: &[u8]| {
    let whole = open(data);
    match &whole {
        // Whatever follows, and however it arrives: a header is the same, and is not seen before it has ended.
        Opened::Header { length, .. } => {
            assert!((8..=data.len()).contains(length));
            assert_eq!(open(&data[..*length]), whole);
            for cut in 0..*length {
                assert_eq!(open(&data[..cut]), Opened::Part, "after {cut} bytes");
            }
        }
        Opened::Part => {
            assert!(data.len() < 16 + 4_096);
            for cut in 0..data.len() {
                assert_eq!(open(&data[..cut]), Opened::Part, "after {cut} bytes");
            }
        }
        // It stays so.
        Opened::Other | Opened::Malformed => {
            let longer = [data, b"\r\n"].concat();
            assert_eq!(open(&longer), whole);
        }
    }
});
