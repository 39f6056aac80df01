//! What a check found: whether it is well, in one line, and what to do if it is not.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Nothing is to be done.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    /// Something does not work, or will not.
    Fail,
}

impl Level {
    /// As people read it, equally wide.
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

/// See the module. As it is in `doctor --json`, whose names are fixed: programs rely on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a word of a fixed list.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What is so.
    pub(super) says: String,
    /// What to do; none if it is well.
    pub(super) todo: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Finding {
        Finding {
            check,
            level: Level::Ok,
            says: says.into(),
            todo: None,
        }
    }

    pub(super) fn warn(
        check: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Finding {
        Finding {
            check,
            level: Level::Warn,
            says: says.into(),
            todo: Some(todo.into()),
        }
    }

    pub(super) fn fail(
        check: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Fail,
            ..Finding::warn(check, says, todo)
        }
    }

    /// A message of a program, which says after a semicolon what to do; else `todo` does.
    pub(super) fn told(check: &'static str, level: Level, message: &str, todo: &str) -> Finding {
        let (says, todo) = message.split_once("; ").unwrap_or((message, todo));
        Finding {
            check,
            level,
            says: says.to_owned(),
            todo: Some(todo.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_is_so_and_what_to_do() {
        let split = Finding::told("data", Level::Warn, "it is old; make it new; soon", "look");
        assert_eq!(
            split,
            Finding::warn("data", "it is old", "make it new; soon")
        );
        let whole = Finding::told("data", Level::Fail, "it is old", "look");
        assert_eq!(whole, Finding::fail("data", "it is old", "look"));
    }
}
