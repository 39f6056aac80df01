//! How many tests passed and failed, counted from what the test programs say.

use std::fmt;

/// The count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    /// One check that is no test program.
    pub fn check(&mut self, name: &str, good: bool) {
        match good {
            true => self.passed += 1,
            false => {
                self.failed += 1;
                self.failures.push(name.to_owned());
            }
        }
    }

    /// A line of a test program: counts the results of each program, remembers the names that failed.
    pub fn line(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        }
    }

    /// What a whole run of test programs counted. One that ended with a failure that no line told of
    /// (it did not build, or was killed) counts as one.
    pub fn run(&mut self, name: &str, counted: Tally, good: bool) {
        let untold = !good && counted.failed == 0;
        self.passed += counted.passed;
        self.failed += counted.failed;
        self.failures.extend(counted.failures);
        if untold {
            self.check(name, false);
        }
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0
    }
}

/// The number that stands right before `word`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    let digits = before
        .rsplit(|letter: char| !letter.is_ascii_digit())
        .next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

impl fmt::Display for Tally {
    /// The last line is fixed: programs read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "FAILED {failure}")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn results_of_all_programs_are_added_and_failures_named() {
        let tally = counted(&[
            "running 2 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 11 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out",
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!(tally.to_string(), "FAILED a::c\n41 passed, 1 failed");
        assert!(!tally.is_good());
    }

    #[test]
    fn a_program_that_does_not_build_is_a_failure() {
        let mut all = Tally::default();
        all.run("unit", Tally::default(), false);
        all.check("formatting", true);
        assert_eq!(all.to_string(), "FAILED unit\n1 passed, 1 failed");
    }

    #[test]
    fn a_failure_that_was_told_is_counted_once() {
        let mut all = Tally::default();
        let told = counted(&["test result: FAILED. 0 passed; 1 failed; 0 ignored"]);
        all.run("unit", told, false);
        assert_eq!(all.to_string(), "0 passed, 1 failed");
    }
}
