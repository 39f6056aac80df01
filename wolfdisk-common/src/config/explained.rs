//! Every setting in words, for the manual.

use super::schema::{FIELDS, Preset, SECTIONS};

/// A section of the file and what can be set in it.
#[derive(Debug)]
pub struct SectionText {
    /// As it is written in brackets.
    pub name: &'static str,
    /// What it is about, a sentence.
    pub about: &'static str,
    /// In the order of the example file.
    pub settings: Vec<SettingText>,
}

/// A setting.
#[derive(Debug)]
pub struct SettingText {
    /// Its name in its section.
    pub name: &'static str,
    /// What it does, in sentences on one line.
    pub about: String,
    /// What it can be; completes "allowed: ..".
    pub allowed: &'static str,
    /// What holds without it.
    pub default: String,
}

/// All sections, in the order of the example file.
pub fn explained() -> Vec<SectionText> {
    let sections = SECTIONS.iter().map(|section| SectionText {
        name: section.name,
        about: section.about,
        settings: settings(section.name),
    });
    sections.collect()
}

fn settings(section: &str) -> Vec<SettingText> {
    let fields = FIELDS.iter().filter(|field| field.section == section);
    let settings = fields.map(|field| {
        let about: Vec<&str> = field.about.iter().map(|line| line.trim()).collect();
        SettingText {
            name: field.name,
            about: about.join(" "),
            allowed: field.allowed,
            default: default(&field.preset),
        }
    });
    settings.collect()
}

fn default(preset: &Preset) -> String {
    match preset {
        Preset::Is(value) => (*value).to_owned(),
        // Of some the words tell who gets the value that is shown.
        Preset::Depends(value, words) => match words.strip_prefix("this ") {
            Some(rest) => format!("{value} {rest}"),
            None => (*words).to_owned(),
        },
    }
}
