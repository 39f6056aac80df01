//! The file as read: known names only, values still as they were written.

use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::nearest::nearest;
use super::schema::{FIELDS, Field, Preset, SECTIONS};

/// A parsed file whose sections and fields all exist.
#[derive(Debug)]
pub(super) struct File {
    /// What messages call it.
    pub(super) name: String,
    table: Table,
}

impl File {
    /// A file in which nothing is set.
    pub(super) fn empty() -> File {
        File {
            name: "the defaults".to_owned(),
            table: Table::new(),
        }
    }

    /// Parses `text` and checks its names.
    ///
    /// # Errors
    /// The line that is no TOML, or the first name that does not exist.
    pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
        let name = path.display().to_string();
        let table = text.parse::<Table>().map_err(|error| {
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or_default();
            ConfigError::Syntax {
                file: name.clone(),
                line: before.lines().count().max(1),
                message: error.message().replace('\n', "; "),
            }
        })?;
        let file = File { name, table };
        file.check_names()?;
        Ok(file)
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        for (section, value) in &self.table {
            if !SECTIONS.iter().any(|known| known.name == section) {
                return Err(self.unknown("section", section, &section_names(section)));
            }
            let fields = value.as_table().ok_or_else(|| ConfigError::Value {
                file: self.name.clone(),
                field: section.clone(),
                value: value.to_string(),
                allowed: format!("a section, written [{section}]"),
            })?;
            let known: Vec<&str> = FIELDS
                .iter()
                .filter(|field| field.section == section)
                .map(|f| f.name)
                .collect();
            if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
                let hint = hint(name, &known, section);
                return Err(self.unknown("field", &format!("{section}.{name}"), &hint));
            }
        }
        Ok(())
    }

    fn unknown(&self, what: &'static str, name: &str, hint: &str) -> ConfigError {
        ConfigError::Unknown {
            file: self.name.clone(),
            what,
            name: name.to_owned(),
            hint: hint.to_owned(),
        }
    }

    /// The value of a field, given or preset, as `parse` understands it; `None` where nothing is given
    /// and the preset depends on something else.
    ///
    /// # Errors
    /// The field, its value and what is allowed.
    pub(super) fn optional<T>(
        &self,
        field: &Field,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        parse(&value)
            .map(Some)
            .ok_or_else(|| self.refusal(field, &value))
    }

    /// Whether the file says something about a field.
    pub(super) fn has(&self, field: &Field) -> bool {
        self.given(field).is_some()
    }

    /// What it says about a field, or what holds without.
    pub(super) fn value(&self, field: &Field) -> Option<Value> {
        match (self.given(field), field.preset) {
            (Some(value), _) => Some(value.clone()),
            (None, Preset::Is(text)) => Some(preset(text)),
            (None, Preset::Depends(..)) => None,
        }
    }

    fn given(&self, field: &Field) -> Option<&Value> {
        self.table.get(field.section)?.get(field.name)
    }

    /// As [`File::optional`], for a field that has a preset.
    ///
    /// # Errors
    /// As there.
    pub(super) fn required<T>(
        &self,
        field: &Field,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.optional(field, parse)?
            .ok_or_else(|| ConfigError::Missing {
                file: self.name.clone(),
                field: full_name(field),
                reason: "it has no default".to_owned(),
            })
    }

    /// The error that says that `value` is not allowed in `field`.
    pub(super) fn refusal(&self, field: &Field, value: &Value) -> ConfigError {
        let shown = if field.name.contains("secret") {
            "(hidden)".into()
        } else {
            value.to_string()
        };
        ConfigError::Value {
            file: self.name.clone(),
            field: full_name(field),
            value: shown,
            allowed: field.allowed.to_owned(),
        }
    }
}

/// `section.name`.
pub(super) fn full_name(field: &Field) -> String {
    format!("{}.{}", field.section, field.name)
}

/// A preset's TOML text as a value. Each one is parsed by a test; were one wrong, its text would be
/// refused as a value by the field itself.
pub(super) fn preset(text: &str) -> Value {
    let line = format!("value = {text}");
    let table = line.parse::<Table>().unwrap_or_default();
    table
        .get("value")
        .cloned()
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn section_names(wrong: &str) -> String {
    let known: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    match nearest(wrong, known.iter().copied()) {
        Some(right) => format!("did you mean [{right}]?"),
        // A field outside any section is the likeliest of the other mistakes.
        None => match FIELDS.iter().find(|field| field.name == wrong) {
            Some(field) => format!("`{wrong}` belongs under [{}]", field.section),
            None => format!("known: {}", known.join(", ")),
        },
    }
}

fn hint(wrong: &str, known: &[&str], section: &str) -> String {
    if let Some(right) = nearest(wrong, known.iter().copied()) {
        return format!("did you mean `{section}.{right}`?");
    }
    match FIELDS.iter().find(|field| field.name == wrong) {
        Some(field) => format!("`{wrong}` belongs under [{}]", field.section),
        None => format!("known in [{section}]: {}", known.join(", ")),
    }
}
