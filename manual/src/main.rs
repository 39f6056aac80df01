//! Writes all manual pages and completions below a folder, as they lie below `/usr/share`.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.context("usage: wolfdisk-manual FOLDER")?;
    for file in wolfdisk_manual::files()? {
        let path = folder.join(&file.path);
        let above = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(above)
            .with_context(|| format!("cannot create {}", above.display()))?;
        std::fs::write(&path, &file.content)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
