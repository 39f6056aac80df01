//! The fields of a form before its file, within limits. Names are the same in any case, and none is there twice: what a
//! policy is held against is what is used.

use multer::{Field, Multipart};

use super::error::FormError;
use crate::limits::{FORM_FIELDS_MAX, FORM_FIELDS_MAX_BYTES, FORM_NAME_MAX_BYTES};

/// What stands for the name of the file in a field.
const FILE_NAME: &str = "${filename}";
/// The field with the file.
const FILE: &str = "file";
/// Fields that are taken as they are.
const LITERAL: [&str; 2] = ["policy", "x-amz-signature"];

/// See the module. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Of these pairs, for a file with this name.
    ///
    /// # Errors
    /// A name is there twice.
    pub fn new(
        pairs: impl IntoIterator<Item = (String, String)>,
        file_name: &str,
    ) -> Result<Fields, FormError> {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            let name = name.to_ascii_lowercase();
            if fields.get(&name).is_some() {
                return Err(FormError::Twice(name));
            }
            let value = match LITERAL.contains(&name.as_str()) {
                true => value,
                false => value.replace(FILE_NAME, last_part(file_name)),
            };
            fields.0.push((name, value));
        }
        Ok(fields)
    }

    /// Reads them, and gives the field with the file.
    ///
    /// # Errors
    /// There is none, or what is before it breaks a rule.
    pub async fn read(
        multipart: &mut Multipart<'static>,
    ) -> Result<(Fields, Field<'static>), FormError> {
        let mut pairs = Vec::new();
        let mut bytes = 0;
        loop {
            let mut field = multipart.next_field().await?.ok_or(FormError::NoFile)?;
            let name = field
                .name()
                .ok_or(FormError::Malformed("a field has no name"))?
                .to_owned();
            if name.eq_ignore_ascii_case(FILE) {
                let fields = Fields::new(pairs, field.file_name().unwrap_or_default())?;
                return Ok((fields, field));
            }
            if pairs.len() == FORM_FIELDS_MAX || name.len() > FORM_NAME_MAX_BYTES {
                return Err(FormError::TooLong);
            }
            bytes += name.len();
            let mut value = Vec::new();
            while let Some(piece) = field.chunk().await? {
                bytes += piece.len();
                if bytes > FORM_FIELDS_MAX_BYTES {
                    return Err(FormError::TooLong);
                }
                value.extend_from_slice(&piece);
            }
            let value = String::from_utf8(value)
                .map_err(|_| FormError::Malformed("a field is no UTF-8"))?;
            pairs.push((name, value));
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The same.
    ///
    /// # Errors
    /// There is no such field.
    pub fn required(&self, name: &'static str) -> Result<&str, FormError> {
        self.get(name).ok_or(FormError::Missing(name))
    }

    /// All of them.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Some browsers say the whole path.
fn last_part(file_name: &str) -> &str {
    file_name.rsplit(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)], file_name: &str) -> Result<Fields, FormError> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Fields::new(owned, file_name)
    }

    #[test]
    fn the_name_of_the_file_is_put_in_without_its_path() {
        let given = [("Key", "a/${filename}"), ("policy", "${filename}")];
        for (name, wanted) in [
            ("cat.png", "a/cat.png"),
            ("C:\\pictures\\cat.png", "a/cat.png"),
            ("../../cat.png", "a/cat.png"),
            ("", "a/"),
        ] {
            let fields = fields(&given, name).expect("fields");
            assert_eq!(fields.get("key"), Some(wanted));
            assert_eq!(fields.get("policy"), Some("${filename}"));
        }
    }

    #[test]
    fn no_field_is_there_twice() {
        let twice = fields(&[("key", "a"), ("KEY", "b")], "");
        assert!(matches!(twice, Err(FormError::Twice(name)) if name == "key"));
    }
}
