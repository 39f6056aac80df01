//! wolfdisk-config(5), from the one list of settings.

use std::io;

use clap_mangen::roff::roman;
use wolfdisk_common::config::{SettingText, explained};

use crate::File;
use crate::page::{begin, file, item, see_also, text};

const NAME: &str = "wolfdisk-config";

/// # Errors
/// See [`crate::files`].
pub fn page() -> io::Result<File> {
    let mut page = begin(NAME, "5", "the configuration of a WolfDisk machine");
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "All programs read one file in TOML: the one that --config or WOLFDISK_CONFIG names, else /etc/wolfdisk/config.toml \
         of root, ~/.config/wolfdisk/config.toml of others. Every field is optional. A name that is not known and a value \
         that cannot be are refused. \"wolfdiskctl config example\" prints a file that explains every field, \
         \"wolfdiskctl config check\" says whether a file is good.",
    )]);
    for section in explained() {
        page.control("SH", [format!("[{}]", section.name).as_str()]);
        page.text([roman(section.about)]);
        for setting in &section.settings {
            item(&mut page, setting.name, words(setting));
        }
    }
    see_also(&mut page, &[("wolfdiskctl", "1"), ("mount.wolfdisk", "8")]);
    Ok(file(NAME, "5", text(&page)?))
}

fn words(setting: &SettingText) -> String {
    let SettingText {
        about,
        allowed,
        default,
        ..
    } = setting;
    format!("{about} Allowed: {allowed}. Default: {default}.")
}
