//! What a shell needs to complete `wolfdiskctl` and its other name, `wolfdisk`.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::File;
use crate::commands::{control, visible};

const NAME: &str = "wolfdiskctl";

/// For bash, zsh and fish.
pub fn scripts() -> Vec<File> {
    let file = |path: &str, content: String| File {
        path: path.to_owned(),
        content: content.into_bytes(),
    };
    let bash =
        script(Shell::Bash) + "\ncomplete -F _wolfdiskctl -o bashdefault -o default wolfdisk\n";
    let zsh =
        script(Shell::Zsh).replacen("#compdef wolfdiskctl", "#compdef wolfdiskctl wolfdisk", 1);
    vec![
        file("bash-completion/completions/wolfdiskctl", bash),
        // bash-completion looks for a file by the name of the command.
        file(
            "bash-completion/completions/wolfdisk",
            "source \"${BASH_SOURCE[0]%/*}/wolfdiskctl\"\n".to_owned(),
        ),
        file("zsh/site-functions/_wolfdiskctl", zsh),
        file(
            "fish/vendor_completions.d/wolfdiskctl.fish",
            script(Shell::Fish),
        ),
        file(
            "fish/vendor_completions.d/wolfdisk.fish",
            "complete --command wolfdisk --wraps wolfdiskctl\n".to_owned(),
        ),
    ]
}

fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut without_hidden(control()), NAME, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The command without the commands below it that are hidden: completions would offer those too.
fn without_hidden(command: Command) -> Command {
    let hides = command.get_subcommands().any(Command::is_hide_set);
    let command = if hides { anew(&command) } else { command };
    command.mut_subcommands(without_hidden)
}

/// The command with those below it that are visible. None can be taken out of a command, so it is made anew, of what
/// completions look at.
fn anew(command: &Command) -> Command {
    // Names of commands last as long as the program, which ends when the files are written.
    let lasting = |text: &str| -> &'static str { text.to_owned().leak() };
    let aliases: Vec<&str> = command.get_visible_aliases().map(lasting).collect();
    let anew = Command::new(lasting(command.get_name()))
        .version(command.get_version().map(lasting))
        .propagate_version(command.is_propagate_version_set())
        .disable_help_subcommand(true)
        .visible_aliases(aliases)
        .args(command.get_arguments())
        .groups(command.get_groups())
        .subcommands(visible(command));
    match command.get_about() {
        Some(about) => anew.about(about.clone()),
        None => anew,
    }
}
