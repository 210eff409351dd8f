//! A busybox image as an OCI layout in a tar file, which every engine can load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::IMAGE;
use crate::host::Host;
use crate::rootfs::Rootfs;

/// Makes the archive in the test's directory.
pub(super) fn archive(host: &Host) -> PathBuf {
    let layout = host.path("image");
    fs::create_dir_all(layout.join("blobs/sha256")).expect("make the layout's directories");
    let layer = add(&layout, &layer(host));
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed(add_json(host, &layout, &config), "application/vnd.oci.image.config.v1+json"),
        "layers": [typed(layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let mut entry = typed(add_json(host, &layout, &manifest), "application/vnd.oci.image.manifest.v1+json");
    // Podman takes the first as the image's name, containerd the second.
    entry["annotations"] =
        json!({"org.opencontainers.image.ref.name": IMAGE, "io.containerd.image.name": IMAGE});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    write(&layout.join("index.json"), index.to_string().as_bytes());
    write(&layout.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#);
    let archive = host.path("image.tar");
    tar(&layout, &archive);
    archive
}

/// Makes the image's only layer, a tar file in the test's directory.
pub(super) fn layer(host: &Host) -> PathBuf {
    let root = Rootfs::busybox(host.path("image-root"));
    let layer = host.path("layer.tar");
    tar(root.path(), &layer);
    layer
}

/// Moves a file into the layout under its digest, and returns its descriptor.
fn add(layout: &Path, file: &Path) -> Value {
    let digest = sha256(file);
    let size = fs::metadata(file).expect("look at the blob").len();
    fs::rename(file, layout.join("blobs/sha256").join(&digest)).expect("move the blob into the layout");
    json!({"digest": format!("sha256:{digest}"), "size": size})
}

fn add_json(host: &Host, layout: &Path, document: &Value) -> Value {
    add(layout, &host.file("blob.json", document.to_string()))
}

fn typed(mut descriptor: Value, kind: &str) -> Value {
    descriptor["mediaType"] = json!(kind);
    descriptor
}

fn sha256(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().expect("run sha256sum");
    let text = String::from_utf8(output.stdout).expect("a digest is text");
    text.split(' ').next().expect("sha256sum prints the digest first").to_owned()
}

fn tar(directory: &Path, archive: &Path) {
    let status = Command::new("tar").arg("-C").arg(directory).arg("-cf").arg(archive).arg(".").status();
    assert!(status.expect("run tar").success(), "make {}", archive.display());
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}
