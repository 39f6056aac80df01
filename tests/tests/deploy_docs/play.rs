//! A document is played: its blocks are run in its order, each on its machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use wolfdisk_tests::{Lan, Scratch, Wires, wait_within};

use super::document::Block;
use super::machine::{Begun, Machine, Progress};
use super::printed;

/// What all blocks of a document may take.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(180);
/// Lines that are shown of what goes on beside a block that failed.
const LAST_LINES: usize = 30;

/// The machines of a document. They end before the network does.
struct Stage<'a> {
    machines: BTreeMap<&'a str, Machine>,
    /// What stays, by its line.
    staying: BTreeMap<usize, Begun>,
    names: Vec<&'a str>,
    lan: Lan,
    scratch: Scratch,
    until: Instant,
}

/// Runs the blocks of a document.
///
/// # Errors
/// The first that fails or prints otherwise than the document says, with what was printed.
pub fn play(blocks: &[Block]) -> Result<(), String> {
    let mut stage = Stage::of(blocks);
    blocks.iter().try_for_each(|block| stage.run(block))
}

impl<'a> Stage<'a> {
    fn of(blocks: &'a [Block]) -> Stage<'a> {
        let mut names: Vec<&str> = Vec::new();
        for block in blocks.iter().filter(|block| !block.boots) {
            if !names.contains(&block.host.as_str()) {
                names.push(&block.host);
            }
        }
        let hosts = u8::try_from(names.len()).expect("few machines");
        Stage {
            machines: BTreeMap::new(),
            staying: BTreeMap::new(),
            names,
            lan: Lan::of(hosts, Wires::default()),
            scratch: Scratch::new(),
            until: Instant::now() + DOCUMENT_DEADLINE,
        }
    }

    fn open(&self, block: &Block) -> Machine {
        if block.boots {
            return Machine::booted(&block.host);
        }
        let mut hosts = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        for (name, host) in self.names.iter().zip(self.lan.hosts()) {
            writeln!(hosts, "{} {name}", host.address()).expect("a string");
        }
        let at = self.names.iter().position(|name| *name == block.host);
        let host = at.and_then(|at| self.lan.hosts().get(at));
        let folder = self.scratch.directory(&format!("of-{}", block.host));
        Machine::on(
            host.expect("each has a place on the network"),
            &block.host,
            &hosts,
            &folder,
            &self.scratch.directory("home"),
        )
    }

    fn run(&mut self, block: &'a Block) -> Result<(), String> {
        if !self.machines.contains_key(block.host.as_str()) {
            let machine = self.open(block);
            self.machines.insert(&block.host, machine);
        }
        let machine = self.machines.get_mut(block.host.as_str());
        let machine = machine.expect("it was just opened");
        let begun = machine.begin(block);
        let until = self.until;
        let mut wrong = None;
        wait_within(DOCUMENT_DEADLINE, "a block of a document", || {
            let progress = machine.look(&begun);
            let late = Instant::now() >= until;
            let done = match (progress, &block.output) {
                (Progress::Ended(how), _) => Err(format!("it failed: {how}")),
                (_, Some(output)) if block.stays && printed::holds(output, &begun.printed()) => {
                    Ok(true)
                }
                (Progress::Done, _) if block.stays => Err("it ended".to_owned()),
                (Progress::Done, Some(output)) if !printed::is(output, &begun.printed()) => {
                    Err("it printed otherwise".to_owned())
                }
                (Progress::Done, _) => Ok(true),
                (Progress::Goes, _) if late => {
                    Err(format!("{DOCUMENT_DEADLINE:?} were not enough"))
                }
                (Progress::Goes, _) => Ok(false),
            };
            done.unwrap_or_else(|why| {
                wrong = Some(why);
                true
            })
        });
        if let Some(why) = wrong {
            return Err(self.told(block, &begun, &why));
        }
        if block.stays {
            self.staying.insert(block.line, begun);
        }
        Ok(())
    }

    /// A failure, for who has to mend the document or the programs.
    fn told(&self, block: &Block, begun: &Begun, why: &str) -> String {
        let Block {
            line, host, script, ..
        } = block;
        let printed = begun.printed();
        let mut text = format!("{line} (on {host}): {why}\n{script}--- printed\n{printed}\n");
        if let Some(output) = &block.output {
            text += &format!("--- expected\n{}\n", output.join("\n"));
        }
        for (line, begun) in &self.staying {
            let printed = begun.printed();
            let lines: Vec<&str> = printed.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
            text += &format!("--- what goes on since line {line} printed last\n");
            last.for_each(|line| text += &format!("{line}\n"));
        }
        text
    }
}
