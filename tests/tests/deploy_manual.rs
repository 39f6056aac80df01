//! Manual pages and completions, as `man` and the shells take them. That no command and no option is missing in them is
//! tested where they are made.

use std::path::{Path, PathBuf};
use std::process::Command;

use wolfdisk_tests::{program, run};

/// All files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// What a shell says about a script that it runs, which succeeds.
fn said(shell: &str, script: &str) -> String {
    let outcome = run(Command::new(shell)
        .args(["-c", script])
        .env_remove("BASH_ENV"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stderr, "", "{script}");
    outcome.stdout
}

fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    words.sort_unstable();
    words
}

#[test]
fn pages_are_set_without_a_warning_and_found_by_what_they_are_about() {
    let pages = files(&program("share/man"));
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages {
        let shown = page.display();
        let name = page.file_stem().and_then(|name| name.to_str());
        let (title, section) = name.and_then(|name| name.rsplit_once('.')).expect("a name");
        assert!(
            page.with_file_name("").ends_with(format!("man{section}")),
            "{shown}"
        );
        if title == "wolfdisk" {
            // Another name for a page.
            continue;
        }
        let set = format!("zcat {shown} | groff -ww -mandoc -Kutf8 -Tutf8 -P-cbou");
        let text = said("bash", &set);
        assert!(
            text.contains("NAME") && text.contains("SEE ALSO"),
            "{shown}: {text}"
        );
        let about = said("bash", &format!("lexgrog {shown}"));
        assert!(about.contains(&format!("\"{title} - ")), "{about}");
    }
}

#[test]
fn the_shells_take_the_completions() {
    let share = program("share");
    for script in files(&share.join("bash-completion")) {
        said("bash", &format!("bash -n {}", script.display()));
    }
    for script in files(&share.join("zsh")) {
        said("zsh", &format!("zsh -n {}", script.display()));
    }
    for script in files(&share.join("fish")) {
        said("fish", &format!("fish --no-execute {}", script.display()));
    }
}

#[test]
fn a_word_that_is_begun_is_completed() {
    let share = program("share");
    let expected = ["s3", "stats", "status"];
    for name in ["wolfdiskctl", "wolfdisk"] {
        let script = share.join("bash-completion/completions").join(name);
        let text = said(
            "bash",
            &format!(
                "source {}; COMP_WORDS=({name} s) COMP_CWORD=1; \
                 function=$(complete -p {name} | grep -o -- '-F [^ ]*'); ${{function#-F }} {name} s {name}; \
                 printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                script.display()
            ),
        );
        assert_eq!(words(&text), expected, "bash, {name}");
        let folder = share.join("fish/vendor_completions.d");
        let text = said(
            "fish",
            &format!(
                "for file in {}/*; source $file; end; complete --do-complete '{name} s'",
                folder.display()
            ),
        );
        assert_eq!(words(&text), expected, "fish, {name}");
    }
    let folder = share.join("zsh/site-functions");
    let text = said(
        "zsh",
        &format!(
            "fpath=({} $fpath); autoload -Uz compinit; compinit -D -u; print $_comps[wolfdiskctl] $_comps[wolfdisk]",
            folder.display()
        ),
    );
    assert_eq!(text, "_wolfdiskctl _wolfdiskctl\n");
}
