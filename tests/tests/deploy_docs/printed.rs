//! Whether a program printed what a document says. `..` stands for anything within a line, and alone on a line for any
//! number of lines; runs of spaces count as one, so that columns may be as wide as they like.

const ANYTHING: &str = "..";

/// Whether this is all that was printed.
pub fn is(expected: &[String], printed: &str) -> bool {
    let (expected, printed) = (
        tidy(expected.iter().map(String::as_str)),
        tidy(printed.lines()),
    );
    lines_match(&expected, &printed)
}

/// Whether these lines are among what was printed, one after the other.
pub fn holds(expected: &[String], printed: &str) -> bool {
    let anything = || std::iter::once(ANYTHING);
    let lines = expected.iter().map(String::as_str);
    let expected = tidy(anything().chain(lines).chain(anything()));
    lines_match(&expected, &tidy(printed.lines()))
}

fn tidy<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn lines_match(expected: &[String], printed: &[String]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, first) => first.is_none(),
        (Some((line, rest)), first) if line == ANYTHING => {
            lines_match(rest, printed)
                || first.is_some_and(|(_, others)| lines_match(expected, others))
        }
        (Some(_), None) => false,
        (Some((line, rest)), Some((first, others))) => {
            line_matches(line, first) && lines_match(rest, others)
        }
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_may_differ_differs() {
        for (expected, printed) in [
            ("a\nb", "a\nb\n"),
            ("", ""),
            ("a ..", "a 7 b"),
            ("..:9500", "10.0.0.1:9500"),
            ("a .. c .. e", "a b c d e"),
            ("a   b", "a b"),
            ("..\nb", "1\n2\nb"),
            ("a\n..", "a"),
            ("a\n..\nb", "a\nb"),
        ] {
            assert!(is(&lines(expected), printed), "{expected:?} {printed:?}");
        }
        for (expected, printed) in [
            ("a", "a\nb"),
            ("a\nb", "a"),
            ("a", "ab"),
            ("a .. c", "a b"),
            ("..:9500", "10.0.0.1:95001"),
            ("a\n..\nb", "a\nc"),
            ("a", ""),
        ] {
            assert!(!is(&lines(expected), printed), "{expected:?} {printed:?}");
        }
    }

    #[test]
    fn among_other_lines_they_stand_together() {
        assert!(holds(&lines("b\nc"), "a\nb\nc\nd\n"));
        assert!(!holds(&lines("b\nc"), "b\na\nc\n"));
    }
}
