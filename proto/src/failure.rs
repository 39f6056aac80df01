//! Why a call was not answered with its reply, on the wire and for both bindings.
//!
//! An expected outcome of a mutation (`ENOENT`, `EEXIST`, ..) is no failure: it travels in the reply.
//! A failure means that the call itself did not take place or could not be completed.

use tonic::{Code, Status};

/// See the module. The numbers are the wire's and never change meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The operation was refused with this errno.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Errno(i32),
    /// The session is unknown or has expired: open a new one; locks and handles of the old are gone.
    #[error("the session has expired")]
    StaleSession,
    /// Nothing was done and asking again soon makes sense.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// The request breaks a rule of the protocol.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// This binding, build or version cannot do it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The caller may not do it.
    #[error("denied: {0}")]
    Denied(String),
    /// Stored bytes did not match their checksum.
    #[error("damaged data: {0}")]
    Corrupt(String),
    /// The deadline of the call passed; it may have taken place.
    #[error("no answer in time: {0}")]
    Deadline(String),
    /// The connection ended before the answer; the call may have taken place.
    #[error("connection lost: {0}")]
    Disconnected(String),
}

impl Failure {
    /// The number on the wire.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Errno(_) => 1,
            Failure::StaleSession => 2,
            Failure::Unavailable(_) => 3,
            Failure::Invalid(_) => 4,
            Failure::Unsupported(_) => 5,
            Failure::Denied(_) => 6,
            Failure::Corrupt(_) => 7,
            Failure::Deadline(_) => 8,
            Failure::Disconnected(_) => 9,
        }
    }

    /// The errno inside, 0 where there is none.
    pub fn errno(&self) -> i32 {
        match self {
            Failure::Errno(errno) => *errno,
            Failure::StaleSession
            | Failure::Unavailable(_)
            | Failure::Invalid(_)
            | Failure::Unsupported(_)
            | Failure::Denied(_)
            | Failure::Corrupt(_)
            | Failure::Deadline(_)
            | Failure::Disconnected(_) => 0,
        }
    }

    /// The text inside, empty where there is none.
    pub fn detail(&self) -> &str {
        match self {
            Failure::Errno(_) | Failure::StaleSession => "",
            Failure::Unavailable(text)
            | Failure::Invalid(text)
            | Failure::Unsupported(text)
            | Failure::Denied(text)
            | Failure::Corrupt(text)
            | Failure::Deadline(text)
            | Failure::Disconnected(text) => text,
        }
    }

    /// Builds a failure from what arrived on the wire; an unknown code of a newer peer becomes
    /// [`Failure::Unsupported`].
    pub fn from_wire(code: u8, errno: i32, detail: String) -> Failure {
        match code {
            1 => Failure::Errno(errno),
            2 => Failure::StaleSession,
            3 => Failure::Unavailable(detail),
            4 => Failure::Invalid(detail),
            6 => Failure::Denied(detail),
            7 => Failure::Corrupt(detail),
            8 => Failure::Deadline(detail),
            9 => Failure::Disconnected(detail),
            5 => Failure::Unsupported(detail),
            other => {
                Failure::Unsupported(format!("failure code {other} of a newer peer: {detail}"))
            }
        }
    }

    /// A method number that this build does not know.
    pub fn unknown_method(service: &str, method: u8) -> Failure {
        Failure::Unsupported(format!("method {method} of service {service}"))
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let code = match &failure {
            Failure::Errno(_) => Code::Unknown,
            Failure::StaleSession => Code::Unauthenticated,
            Failure::Unavailable(_) | Failure::Disconnected(_) => Code::Unavailable,
            Failure::Invalid(_) => Code::InvalidArgument,
            Failure::Unsupported(_) => Code::FailedPrecondition,
            Failure::Denied(_) => Code::PermissionDenied,
            Failure::Corrupt(_) => Code::DataLoss,
            Failure::Deadline(_) => Code::DeadlineExceeded,
        };
        let mut details = vec![failure.code()];
        details.extend_from_slice(&failure.errno().to_le_bytes());
        Status::with_details(code, failure.to_string(), details.into())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        let text = status.message().to_owned();
        if let [code, errno @ ..] = status.details()
            && let Ok(errno) = <[u8; 4]>::try_from(errno)
        {
            return Failure::from_wire(*code, i32::from_le_bytes(errno), text);
        }
        match status.code() {
            Code::DeadlineExceeded => Failure::Deadline(text),
            Code::Unavailable | Code::Cancelled | Code::Aborted => Failure::Disconnected(text),
            Code::PermissionDenied | Code::Unauthenticated => Failure::Denied(text),
            Code::DataLoss => Failure::Corrupt(text),
            Code::InvalidArgument | Code::OutOfRange => Failure::Invalid(text),
            Code::Ok
            | Code::Unknown
            | Code::NotFound
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::Internal => Failure::Unsupported(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_survives_both_bindings() {
        let all = [
            Failure::Errno(28),
            Failure::StaleSession,
            Failure::Unavailable("a".into()),
            Failure::Invalid("b".into()),
            Failure::Unsupported("c".into()),
            Failure::Denied("d".into()),
            Failure::Corrupt("e".into()),
            Failure::Deadline("f".into()),
            Failure::Disconnected("g".into()),
        ];
        for failure in all {
            let framed =
                Failure::from_wire(failure.code(), failure.errno(), failure.detail().to_owned());
            assert_eq!(framed, failure);
            let grpc = Failure::from(Status::from(failure.clone()));
            assert_eq!(grpc.code(), failure.code());
            assert_eq!(grpc.errno(), failure.errno());
        }
    }
}
