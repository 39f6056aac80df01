//! The image for containers: an OCI image layout in a tar archive (<https://github.com/opencontainers/image-spec>), made without
//! an engine. It holds the programs, the libraries that they name, and who root is; no shell.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive;
use crate::run::{Failure, NODE, output, root};

/// Names of the system that the image has of its own.
const FILES: [(&str, &str); 3] = [
    ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n"),
    ("etc/group", "root:x:0:\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
];
/// Where things are mounted or kept.
const FOLDERS: [&str; 8] = [
    "dev",
    "proc",
    "sys",
    "run",
    "root",
    "tmp",
    "var/lib/wolfdisk",
    "mnt/wolfdisk",
];
/// What an engine is told beside the architecture. S3 is answered to others: they need the key that `up` prints.
const CONFIG: &str = r#""os":"linux","config":{"Env":["PATH=/usr/bin"],"Entrypoint":["/usr/bin/wolfdiskctl"],"Cmd":["up","--s3","0.0.0.0:9878"],"WorkingDir":"/","Volumes":{"/var/lib/wolfdisk":{}},"ExposedPorts":{"9500/tcp":{},"9501/udp":{},"9502/tcp":{},"9878/tcp":{}},"StopSignal":"SIGTERM"}"#;

/// Packs the programs in a folder into the archive `image`, as that of a version.
pub fn make(programs: &Path, version: &str, image: &Path) -> Result<(), Failure> {
    let stage = image.with_extension("stage");
    let (tree, layout) = (stage.join("root"), stage.join("layout"));
    archive::anew(&stage)?;
    fill(&tree, programs)?;
    let plain = stage.join("layer.tar");
    archive::pack(&tree, ".", &plain)?;
    let content = archive::sha256(&plain)?;
    archive::pack(&tree, ".", &stage.join("layer.tar.gz"))?;
    let layer = Blob::of(&stage.join("layer.tar.gz"), &layout)?;
    let config = format!(
        r#"{{"architecture":"{}",{CONFIG},"rootfs":{{"type":"layers","diff_ids":["sha256:{content}"]}}}}"#,
        architecture()
    );
    let config = Blob::new(&config, &stage, &layout)?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        config.descriptor("config.v1+json", ""),
        layer.descriptor("layer.v1.tar+gzip", "")
    );
    let manifest = Blob::new(&manifest, &stage, &layout)?;
    let name = format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{version}"}}"#);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        manifest.descriptor("manifest.v1+json", &name)
    );
    archive::write(&layout.join("index.json"), &index)?;
    archive::write(
        &layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    archive::pack(&layout, ".", image)?;
    std::fs::remove_dir_all(&stage)
        .map_err(|error| Failure::new(format!("cannot remove {}: {error}", stage.display())))
}

/// The root of the image.
fn fill(tree: &Path, programs: &Path) -> Result<(), Failure> {
    for folder in FOLDERS {
        archive::anew(&tree.join(folder))?;
    }
    for (path, text) in FILES {
        archive::write(&tree.join(path), text)?;
    }
    for name in NODE {
        let program = programs.join(name);
        archive::copy(&program, &tree.join("usr/bin").join(name))?;
        for library in libraries(&program) {
            let from = std::fs::canonicalize(&library).unwrap_or_else(|_| library.clone());
            let below = library.strip_prefix("/").unwrap_or(&library);
            archive::copy(&from, &tree.join(below))?;
        }
    }
    archive::copy(
        &root().join("LICENSE"),
        &tree.join("usr/share/doc/wolfdisk/copyright"),
    )?;
    symlink("wolfdiskctl", tree.join("usr/bin/wolfdisk"))
        .map_err(|error| Failure::new(format!("cannot make a link: {error}")))
}

/// What the loader puts beside a program; nothing for one that is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = output(Command::new("ldd").arg(program)).unwrap_or_default();
    let words = said.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// A file of the layout, which is named by its content.
struct Blob {
    digest: String,
    size_bytes: u64,
}

impl Blob {
    fn new(text: &str, stage: &Path, layout: &Path) -> Result<Blob, Failure> {
        let file = stage.join("blob");
        archive::write(&file, text)?;
        Blob::of(&file, layout)
    }

    /// Moves a file to where the layout has it.
    fn of(file: &Path, layout: &Path) -> Result<Blob, Failure> {
        let digest = archive::sha256(file)?;
        let folder = layout.join("blobs/sha256");
        let failed = |error| Failure::new(format!("cannot move {}: {error}", file.display()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let place = folder.join(&digest);
        std::fs::rename(file, &place).map_err(failed)?;
        let size_bytes = std::fs::metadata(&place).map_err(failed)?.len();
        Ok(Blob { digest, size_bytes })
    }

    /// As other files of the layout name it.
    fn descriptor(&self, media: &str, rest: &str) -> String {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{media}","digest":"sha256:{}","size":{}{rest}}}"#,
            self.digest, self.size_bytes
        )
    }
}
