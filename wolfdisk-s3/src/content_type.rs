//! What kind of content a file that no S3 client wrote holds, guessed by the ending of its name.

/// What S3 says of content that nobody said anything about.
pub const UNKNOWN: &str = "binary/octet-stream";
/// Of a directory that no S3 client made.
pub const DIRECTORY: &str = "application/x-directory";

/// Endings in lower case, sorted.
const KNOWN: [(&str, &str); 52] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar"),
    ("iso", "application/x-iso9660-image"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("otf", "font/otf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
];

/// The type that goes with the ending of a key.
pub fn guess(key: &str) -> &'static str {
    if key.ends_with('/') {
        return DIRECTORY;
    }
    let name = key.rsplit('/').next().unwrap_or_default();
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let known = ending.and_then(|ending| {
        let place = KNOWN
            .binary_search_by(|(known, _)| (*known).cmp(&ending))
            .ok()?;
        KNOWN.get(place)
    });
    known.map_or(UNKNOWN, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ending_decides_in_any_case() {
        assert!(KNOWN.is_sorted());
        assert_eq!(guess("a/b.tar.GZ"), "application/gzip");
        assert_eq!(guess("photo.JPG"), "image/jpeg");
        assert_eq!(guess("a.d/readme"), UNKNOWN);
        assert_eq!(guess("a.zzz"), UNKNOWN);
        assert_eq!(guess("a.png/"), DIRECTORY);
    }
}
