//! A Maildir on two mounts, with many that deliver on both and several that fetch on one: no mail is lost,
//! none comes twice, none is read in parts.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use wolfdisk_tests::{Background, Node, STEP_DEADLINE, is_long_run, sh};

/// Delivers with the library that every Python has: written to `tmp`, linked to `new`. Prints each mail.
const DELIVER: &str = "
import hashlib, mailbox, os, sys
box, who, count = mailbox.Maildir(sys.argv[1], create=False), sys.argv[2], int(sys.argv[3])
for i in range(count):
    body = os.urandom((i * 977) % 20000).hex()
    mail = mailbox.MaildirMessage()
    mail['Subject'] = f'{who}-{i}'
    mail['X-Digest'] = hashlib.sha256(body.encode()).hexdigest()
    mail.set_payload(body)
    box.add(mail)
    print(f'{who}-{i}', flush=True)
";

/// Moves what is new to `cur`, as one of several that do, and reads it. Prints each mail that it got. Ends
/// when all is delivered and nothing is new.
const FETCH: &str = "
import email, hashlib, os, sys
root, end = sys.argv[1], sys.argv[2]
while True:
    over = os.path.exists(end)
    names = os.listdir(f'{root}/new')
    for name in names:
        try:
            os.rename(f'{root}/new/{name}', f'{root}/cur/{name}:2,S')
        except FileNotFoundError:
            continue
        mail = email.message_from_file(open(f'{root}/cur/{name}:2,S'))
        body = mail.get_payload()
        assert hashlib.sha256(body.encode()).hexdigest() == mail['X-Digest'], name
        print(mail['Subject'], flush=True)
    if over and not names:
        break
";

const WRITERS: usize = 6;
const READERS: usize = 4;

fn python(script: &str, arguments: &[&str], name: &str, node: &Node) -> Background {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments);
    Background::start(&mut command, name, node.scratch())
}

#[test]
fn no_mail_is_lost_and_none_comes_twice() {
    let mails = if is_long_run() { 5000 } else { 100 };
    let node = Node::start();
    let second = node.second_mount();
    let roots = [node.path("box"), second.path("box")];
    sh(node.mount(), "mkdir box box/tmp box/new box/cur");
    let end = node.path("over").display().to_string();
    let root = |number: usize| roots[number % 2].display().to_string();
    let readers: Vec<Background> = (0..READERS)
        .map(|number| {
            let name = format!("reader{number}");
            python(FETCH, &[&root(1), &end], &name, &node)
        })
        .collect();
    let writers: Vec<Background> = (0..WRITERS)
        .map(|number| {
            let name = format!("writer{number}");
            let arguments = [&root(number), &name, &mails.to_string()];
            python(DELIVER, &arguments.map(String::as_str), &name, &node)
        })
        .collect();
    let lines = |all: Vec<Background>| -> Vec<String> {
        let said = all.into_iter().map(|one| one.succeed(STEP_DEADLINE * 5));
        said.flat_map(|said| said.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let delivered = lines(writers);
    assert_eq!(delivered.len(), WRITERS * mails);
    std::fs::write(&end, "").expect("a file");
    let mut fetched = lines(readers);
    fetched.sort();
    let once: BTreeSet<String> = fetched.iter().cloned().collect();
    assert_eq!(fetched.len(), once.len(), "some mail came twice");
    assert_eq!(once, delivered.into_iter().collect(), "some mail is lost");
    for root in &roots {
        assert_eq!(count(&root.join("cur")), WRITERS * mails);
        assert_eq!(count(&root.join("new")) + count(&root.join("tmp")), 0);
    }
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).expect("a directory").count()
}
