//! Parsing never panics, whatever the bytes.

use super::*;

#[test]
fn parsing_never_panics() {
    bolero::check!().for_each(|bytes: &[u8]| {
        // Includes would read files of this machine.
        if bytes.windows(8).any(|word| word == b"%include") {
            return;
        }
        let _ = parse(Path::new("noise.ini"), bytes);
        let mut file = b"[pgbouncer]\n[databases]\n'd' = ".to_vec();
        file.extend_from_slice(bytes);
        let _ = parse(Path::new("noise.ini"), &file);
        let _ = Userlist::parse(Path::new("noise.txt"), bytes);
        let text = String::from_utf8_lossy(bytes);
        for entry in SETTINGS {
            let _ = Settings::default().set(entry.key, &text);
        }
    });
}
