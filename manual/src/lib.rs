//! What is read about the programs on the machine where they are installed: manual pages, and completions for shells.
//!
//! All of it is made from what the programs know of themselves: their command lines, the fields of the configuration, the
//! mount options. So nothing is missing and nothing is there twice. What is hidden from people stays so. Nothing here
//! runs on that machine: `cargo xtask dist` has it written and puts it into the packages.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod commands;
mod completions;
mod mounting;
mod page;
mod settings;

use std::io;

/// A file to be installed.
#[derive(Debug)]
pub struct File {
    /// Below `/usr/share`.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// All of them. Two runs of one build give the same.
///
/// # Errors
/// None in practice: they are made in memory.
pub fn files() -> io::Result<Vec<File>> {
    let mut files = commands::pages()?;
    files.push(settings::page()?);
    files.push(mounting::page()?);
    files.extend(completions::scripts());
    Ok(files)
}
