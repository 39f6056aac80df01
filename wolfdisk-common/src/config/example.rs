//! The example file: every field with its explanation and its default, all commented out.

use std::fmt::Write;

use super::schema::{FIELDS, Preset, SECTIONS};

/// The text of `deploy/config.toml`. Read as it is, or with every field of a fixed default switched on,
/// it gives the defaults.
pub fn example() -> String {
    let mut text = String::from(
        "# The configuration of a WolfDisk node. Every field is optional; what is commented out is the\n\
         # default. Check a file with `wolfdiskctl config check`.\n",
    );
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n[{}]\n", section.about, section.name);
        for field in FIELDS.iter().filter(|field| field.section == section.name) {
            for line in field.about {
                let _ = writeln!(text, "# {}", line.trim());
            }
            let _ = writeln!(text, "# Allowed: {}.", field.allowed);
            let _ = match field.preset {
                Preset::Is(value) => writeln!(text, "#{} = {value}", field.name),
                Preset::Depends(value, what) => {
                    writeln!(text, "# Default: {what}.\n#{} = {value}", field.name)
                }
            };
        }
    }
    text
}
