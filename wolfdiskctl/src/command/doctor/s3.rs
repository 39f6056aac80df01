//! Whether the S3 endpoint answers, where there is to be one.

use std::io;
use std::net::SocketAddr;

use super::finding::Finding;
use super::ground::Ground;
use super::http::{connect, get};

const NAME: &str = "s3";

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let Some(address) = ground.plan().and_then(|plan| plan.s3) else {
        return vec![Finding::ok(NAME, "off")];
    };
    let is_needed = ground.config.s3.enabled || !ground.is_node();
    // `up` may have been told otherwise.
    if !ground.runs("wolfdisk-s3") && !is_needed {
        return vec![Finding::ok(
            NAME,
            "does not run, and is not switched on in the configuration",
        )];
    }
    let asked = match ground.config.s3.tls {
        Some(_) => connect(address).map(|_| 0),
        None => get(address, "/").map(|(status, _)| status),
    };
    vec![judge(address, &asked, &ground.start_command())]
}

/// `asked`: the status of an answer to a request without a signature; 0: it is encrypted and was not read.
fn judge(address: SocketAddr, asked: &io::Result<u16>, start: &str) -> Finding {
    match asked {
        Ok(status) if *status >= 500 => Finding::fail(
            NAME,
            format!("{address} answers, but with status {status}"),
            "see the log of wolfdisk-s3, and whether the daemons above answer",
        ),
        Ok(_) => Finding::ok(NAME, format!("{address} answers")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Finding::fail(
            NAME,
            format!("nobody listens at {address}"),
            format!("start it: {start}; if it ends again, its log says why"),
        ),
        Err(error) => Finding::fail(
            NAME,
            format!("{address} does not answer: {error}"),
            "see the log of wolfdisk-s3, and who else has the port: ss -ltnp",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_refusal_is_an_answer() {
        let address = "127.0.0.1:9878".parse().expect("an address");
        let level = |asked: io::Result<u16>| judge(address, &asked, "up").level;
        assert_eq!(level(Ok(403)), Level::Ok);
        assert_eq!(level(Ok(0)), Level::Ok);
        assert_eq!(level(Ok(503)), Level::Fail);
        assert_eq!(
            level(Err(io::ErrorKind::ConnectionRefused.into())),
            Level::Fail
        );
        assert_eq!(level(Err(io::ErrorKind::TimedOut.into())), Level::Fail);
    }
}
