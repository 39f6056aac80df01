//! What developers run: `cargo xtask up | test | bench | dist`. Standard library only, so that it is built in
//! a moment; everything it does can be done by hand with the commands that it prints.

#![forbid(unsafe_code)]

mod bench;
mod checks;
mod clients;
mod dist;
mod grafana;
mod groups;
mod packages;
mod run;
mod systems;
mod tally;
mod test;
mod tools;
mod up;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  up [ARGUMENTS]          build the node, then run it: wolfdiskctl up ARGUMENTS
  test [GROUP] [--long]   install what the tests need, then run them: all, or one group
  bench [ARGUMENTS]       build the node, then compare it: bench/compare.sh ARGUMENTS
  bench s3 [ARGUMENTS]    the same with its S3 endpoint: bench/s3.sh ARGUMENTS
  bench network [ARGUMENTS]
                          the same with mounts on another machine: bench/network.sh ARGUMENTS
  dist                    build the node, then put it into a package and an image for containers: target/dist
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "up" => up::up(&rest),
        "test" => test::test(&rest),
        "dist" => dist::dist(&rest),
        "bench" => bench::bench(&rest),
        _ => Err(run::Failure::usage(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.say();
            failure.code()
        }
    }
}
