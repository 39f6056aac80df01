//! `index`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Index {
    /// Write the index of a node to a file, from which it can be made again where the chunks are
    Export(Export),
    /// Make the index of a node that does not run from such a file
    Import(Import),
}

/// `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The file, which must not be there yet; `-` is standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write that of a node that does not run
    #[arg(long)]
    pub offline: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Keep an index that is there aside, under another name in the data directory
    #[arg(long)]
    pub replace: bool,
}
