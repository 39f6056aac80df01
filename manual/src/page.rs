//! What every page has: its head, the file it becomes, and where to read on.

use std::io;

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::File;

/// As pages name where they come from.
pub const SOURCE: &str = concat!("WolfDisk ", env!("CARGO_PKG_VERSION"));
/// The name of the book.
pub const BOOK: &str = "WolfDisk";

/// The file that a page becomes.
pub fn file(name: &str, section: &str, content: Vec<u8>) -> File {
    File {
        path: format!("man/man{section}/{name}.{section}"),
        content,
    }
}

/// Begins a page that no command line gives.
pub fn begin(name: &str, section: &str, about: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", [name, section, "", SOURCE, BOOK]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {about}"))]);
    page
}

/// A word and what it means.
pub fn item(page: &mut Roff, word: &str, about: impl Into<String>) {
    page.control("TP", []);
    page.text([bold(word)]);
    page.text([roman(about)]);
}

/// Other pages, each with its section.
pub fn see_also(page: &mut Roff, pages: &[(&str, &str)]) {
    page.control("SH", ["SEE ALSO"]);
    let mut line: Vec<Inline> = Vec::new();
    for (at, (name, section)) in pages.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        line.extend([roman(comma), bold(*name), roman(format!("({section})"))]);
    }
    page.text(line);
}

/// The text of a page.
///
/// # Errors
/// See [`crate::files`].
pub fn text(page: &Roff) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.to_writer(&mut text)?;
    Ok(text)
}
