//! Objects as a plain map of paths has them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::index::ListKeys;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Directory {
        implied: bool,
        s3: Option<Bytes>,
    },
    File {
        data: Vec<u8>,
        s3: Option<Bytes>,
        /// Its content has changed since.
        stale: bool,
    },
    Link,
}

/// What is below the root, by path.
#[derive(Debug, Default)]
pub(super) struct Model(pub(super) BTreeMap<String, Node>);

impl Model {
    pub(super) fn is_empty(&self, path: &str) -> bool {
        let below = format!("{path}/");
        !self.0.keys().any(|other| other.starts_with(&below))
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.0.get(path), Some(Node::Directory { .. }))
    }

    pub(super) fn is_implied(&self, path: &str) -> bool {
        matches!(
            self.0.get(path),
            Some(Node::Directory { implied: true, .. })
        )
    }

    /// The keys that there are, sorted, and where each leads.
    pub(super) fn keys(&self) -> BTreeMap<String, &Node> {
        let keys = self.0.iter().filter_map(|(path, node)| match node {
            Node::File { .. } => Some((path.clone(), node)),
            Node::Directory { implied, .. } if !implied || self.is_empty(path) => {
                Some((format!("{path}/"), node))
            }
            Node::Directory { .. } | Node::Link => None,
        });
        keys.collect()
    }

    pub(super) fn parents(path: &str) -> Vec<String> {
        let slashes = path.match_indices('/');
        slashes.map(|(at, _)| path[..at].to_owned()).collect()
    }

    pub(super) fn publish(&mut self, text: &str, data: &[u8]) -> Result<(), i32> {
        let (path, marker) = match text.strip_suffix('/') {
            Some(path) => (path, true),
            None => (text, false),
        };
        let parents = Model::parents(path);
        let is_blocked =
            |parent: &String| self.0.contains_key(parent) && !self.is_directory(parent);
        if parents.iter().any(is_blocked) {
            return Err(libc::ENOTDIR);
        }
        match (marker, self.0.get(path)) {
            (true, Some(Node::File { .. } | Node::Link)) => return Err(libc::ENOTDIR),
            (false, Some(Node::Directory { .. })) => return Err(libc::EISDIR),
            _ => {}
        }
        for parent in parents {
            let implied = Node::Directory {
                implied: true,
                s3: None,
            };
            self.0.entry(parent).or_insert(implied);
        }
        let s3 = Some(Bytes::from(format!("s3 of {text}")));
        let node = match marker {
            true => Node::Directory { implied: false, s3 },
            false => Node::File {
                data: data.to_vec(),
                s3,
                stale: false,
            },
        };
        self.0.insert(path.to_owned(), node);
        Ok(())
    }

    pub(super) fn remove(&mut self, text: &str) -> Result<(), i32> {
        if !self.keys().contains_key(text) {
            return Err(libc::ENOENT);
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if !self.is_empty(path) {
            let implied = Node::Directory {
                implied: true,
                s3: None,
            };
            self.0.insert(path.to_owned(), implied);
            return Ok(());
        }
        self.0.remove(path);
        for parent in Model::parents(path).iter().rev() {
            if !self.is_implied(parent) || !self.is_empty(parent) {
                break;
            }
            self.0.remove(parent);
        }
        Ok(())
    }
}

/// What a listing of the sorted keys must give, in one page.
pub(super) fn expected(keys: &BTreeSet<String>, request: &ListKeys) -> Vec<String> {
    let (prefix, after) = (&*request.prefix, &*request.after);
    let mut listed = Vec::new();
    for key in keys.iter().filter(|key| key.as_bytes().starts_with(prefix)) {
        let slash = key[prefix.len()..].find('/').filter(|_| request.delimiter);
        let entry = slash.map_or(&**key, |at| &key[..=prefix.len() + at]);
        let is_new = listed.last().is_none_or(|last| last != entry);
        if is_new && entry.as_bytes() > after {
            listed.push(entry.to_owned());
        }
    }
    listed
}
