//! A document, and the blocks of it that are run. How they are marked is in `CONTRIBUTING.md`.

use std::fmt;

/// Where a block runs that names no host.
const HOST: &str = "alpha";
const FENCE: &str = "```";

/// What stands between two fences and is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// The machine that it runs on.
    pub host: String,
    /// The machine is one that is booted.
    pub boots: bool,
    /// It goes on, as in a terminal of its own, while those after it run.
    pub stays: bool,
    pub script: String,
    /// The lines that it prints.
    pub output: Option<Vec<String>>,
}

/// A fence that is marked wrongly.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// What begins with a fence that was not closed yet.
struct Fence {
    line: usize,
    indent: usize,
    what: What,
    text: Vec<String>,
}

enum What {
    Run(Block),
    Output,
    Other,
}

/// The blocks of a document, in its order.
///
/// # Errors
/// The first fence that is marked wrongly.
pub fn blocks(text: &str) -> Result<Vec<Block>, Malformed> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<Fence> = None;
    // What is printed is said right behind.
    let mut output_follows = false;
    for (line, text) in (1..).zip(text.lines()) {
        let inner = text.trim_start();
        let info = inner.strip_prefix(FENCE).map(str::trim);
        match (fence.take(), info) {
            (None, None) => {}
            (None, Some(info)) => {
                fence = Some(Fence {
                    line,
                    indent: text.len() - inner.len(),
                    what: what(line, info)?,
                    text: Vec::new(),
                });
            }
            (Some(done), Some("")) => {
                output_follows = finish(done, &mut blocks, output_follows)?;
            }
            (Some(mut open), _) => {
                let spaces = open.indent.min(text.len() - inner.len());
                open.text
                    .push(text.chars().skip(spaces).collect::<String>());
                fence = Some(open);
            }
        }
    }
    if let Some(open) = fence {
        return Err(wrong(open.line, "this fence is never closed"));
    }
    let mute = blocks
        .iter()
        .find(|block| block.stays && block.output.is_none());
    match mute {
        Some(block) => Err(wrong(
            block.line,
            "what stays needs an output, by which it is known that it is ready",
        )),
        None => Ok(blocks),
    }
}

/// Keeps a block; whether an output may follow.
fn finish(done: Fence, blocks: &mut Vec<Block>, output_follows: bool) -> Result<bool, Malformed> {
    match done.what {
        What::Run(block) => {
            blocks.push(Block {
                script: done.text.join("\n") + "\n",
                ..block
            });
            Ok(true)
        }
        What::Output => match blocks.last_mut().filter(|_| output_follows) {
            Some(block) => {
                block.output = Some(done.text);
                Ok(false)
            }
            None => Err(wrong(
                done.line,
                "this output is not right behind a block that is run",
            )),
        },
        What::Other => Ok(false),
    }
}

/// What a fence says of itself.
fn what(line: usize, info: &str) -> Result<What, Malformed> {
    let mut words = info.split_whitespace();
    match (words.next(), words.next()) {
        (Some("output"), None) => return Ok(What::Output),
        (Some("sh"), Some("run")) => {}
        (Some("sh"), Some(word)) => {
            return Err(wrong(line, &format!("`{word}` without `run` before it")));
        }
        _ => return Ok(What::Other),
    }
    let mut block = Block {
        line,
        host: HOST.to_owned(),
        boots: false,
        stays: false,
        script: String::new(),
        output: None,
    };
    for word in words {
        match (word, word.strip_prefix("host=")) {
            ("stays", _) => block.stays = true,
            ("boot", _) => block.boots = true,
            (_, Some(host)) if !host.is_empty() => block.host = host.to_owned(),
            _ => return Err(wrong(line, &format!("what is `{word}`?"))),
        }
    }
    Ok(What::Run(block))
}

fn wrong(line: usize, why: &str) -> Malformed {
    Malformed {
        line,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_host_and_output() {
        let text = "# A\n```sh\nnot run\n```\n```sh run\na\nb\n```\nprints\n```output\nx\n```\n\
            1. then\n\n   ```sh run host=desk stays\n   c\n     d\n   ```\n   ```output\n   ..\n   ```\n```toml\n[x]\n```\n";
        let found = blocks(text).expect("well marked");
        let plain = Block {
            line: 5,
            host: "alpha".into(),
            boots: false,
            stays: false,
            script: "a\nb\n".into(),
            output: Some(vec!["x".into()]),
        };
        let desk = Block {
            line: 15,
            host: "desk".into(),
            stays: true,
            script: "c\n  d\n".into(),
            output: Some(vec!["..".into()]),
            ..plain.clone()
        };
        assert_eq!(found, [plain, desk]);
    }

    #[test]
    fn what_is_marked_wrongly_is_named() {
        for (text, line) in [
            ("```sh run\na\n", 1),
            ("```output\nx\n```\n", 1),
            ("```sh run\na\n```\n```sh\nb\n```\n```output\nx\n```\n", 7),
            ("\n```sh host=desk\na\n```\n", 2),
            ("```sh run hots=desk\na\n```\n", 1),
            ("```sh run host=\na\n```\n", 1),
            ("```sh run stays\na\n```\n", 1),
        ] {
            assert_eq!(blocks(text).expect_err(text).line, line, "{text}");
        }
    }
}
