#!/usr/bin/env python3
"""What an index costs by its size: fills a node step by step and writes docs/scale.md with a graph beside it.

    scale.py [--sizes 0,100000,1000000,10000000] [--dir DIR] [--keep-doc]

At each size: files created and looked up a second, memory of the daemons, room on disk, and how long a start takes.
Each file has a chunk of its own, which takes about 1 KB of disk in all. Everything lives below DIR (default: a new
directory in TMPDIR) and is removed at the end. WOLFDISK_BIN names a folder of built programs; else they are built."""
import argparse, os, pathlib, shutil, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--sizes", default="0,100000,1000000,10000000")
ap.add_argument("--dir", default=None)
ap.add_argument("--keep-doc", action="store_true")
args = ap.parse_args()
sizes = [int(size) for size in args.sizes.split(",")]


def programs():
    if folder := os.environ.get("WOLFDISK_BIN"):
        return pathlib.Path(folder)
    packages = ["wolfdiskctl", "wolfdisk-meta", "wolfdisk-chunkd", "wolfdisk-fuse", "wolfdisk-scale"]
    build = ["cargo", "build", "--quiet", "--release", "--locked", f"--manifest-path={root}/Cargo.toml"]
    subprocess.run(build + [f"-p{package}" for package in packages], check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"


class Node:
    def __init__(self, folder, work):
        self.folder, self.work = folder, work
        (work / "mount").mkdir()

    def start(self):
        """Gives the seconds until the mount is usable."""
        begun = time.perf_counter()
        command = [self.folder / "wolfdiskctl", "up", "-d", self.work / "data", "-m", self.work / "mount"]
        self.up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.work / "log", "a"), text=True)
        if not self.up.stdout.readline().startswith("ready"):
            sys.exit((self.work / "log").read_text())
        return time.perf_counter() - begun

    def memory(self, name):
        """Resident megabytes of one of its daemons, of which the second are of files and can be dropped."""
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if f"({name})" not in stat.read_text() or stat.read_text().split()[3] != str(self.up.pid):
                    continue
                lines = (stat.parent / "status").read_text().splitlines()
            except OSError:
                continue
            values = dict(line.split(":", 1) for line in lines)
            return tuple(int(values[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))
        sys.exit(f"{name} does not run")

    def stop(self):
        self.up.terminate()
        self.up.wait()


def measure(node, folder, size):
    sockets = [node.work / "data/run" / f"{daemon}.sock" for daemon in ("meta", "chunkd")]
    begun = time.perf_counter()
    run = subprocess.run([folder / "wolfdisk-scale", *sockets, "--files", str(size)], capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    _, created, found = run.stdout.split()
    filled = time.perf_counter() - begun
    meta, chunkd = node.memory("wolfdisk-meta"), node.memory("wolfdisk-chunkd")
    node.stop()
    disk = int(subprocess.run(["du", "-sm", node.work / "data"], capture_output=True, text=True).stdout.split()[0])
    start = node.start()
    after = node.memory("wolfdisk-meta"), node.memory("wolfdisk-chunkd")
    row = dict(files=size, created=int(created), found=int(found), filled=filled, start=start, disk=disk)
    row |= dict(meta=meta[0], chunkd=chunkd[0], meta_after=after[0][0], chunkd_after=after[1][0])
    print(row, flush=True)
    return row


def table(rows):
    yield "| files and chunks | created/s | looked up/s | start, s | memory of wolfdisk-meta, MB (after a start) | of wolfdisk-chunkd, MB | disk, MB |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        yield (
            "| {files:,} | {created:,} | {found:,} | {start:.1f} | {meta:.0f} ({meta_after:.0f}) | "
            "{chunkd:.0f} ({chunkd_after:.0f}) | {disk:,} |".format(**row)
        )


def graph(rows):
    """Rates relative to the emptiest index, by size."""
    import math

    width, height, left, top = 640, 300, 60, 20
    place = lambda files: left + (width - left - 20) * max(0, math.log10(max(files, 1e4)) - 4) / 3.3
    level = lambda share: top + (height - top - 40) * (1.2 - min(share, 1.2)) / 1.2
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        y = level(share)
        yield f'<path d="M{left} {y:.0f}H{width - 20}" stroke="#ccc"/><text x="10" y="{y + 4:.0f}">{share:.0%}</text>'
    for row in rows:
        label = "empty" if row["files"] == 0 else f"{row['files']:,}"
        yield f'<text x="{place(row["files"]):.0f}" y="{height - 20}" text-anchor="middle">{label}</text>'
    for at, (key, name, colour) in enumerate((("created", "created a second", "#c0392b"), ("found", "looked up a second", "#2c3e90"))):
        points = " ".join(f"{place(row['files']):.0f},{level(row[key] / rows[0][key]):.0f}" for row in rows)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{left + 10}" y="{level(0.2) + 16 * at:.0f}" fill="{colour}">{name}, of an empty index</text>'
    yield "</svg>"


folder = programs()
work = pathlib.Path(tempfile.mkdtemp(prefix="wolfdisk-scale-", dir=args.dir))
node = Node(folder, work)
try:
    node.start()
    rows = [measure(node, folder, size) for size in sizes]
finally:
    node.stop()
    shutil.rmtree(work, ignore_errors=True)
print("\n".join(table(rows)))
if not args.keep_doc:
    commit = subprocess.run(["git", "-C", root, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    head = (
        "# What an index costs by its size\n\n"
        f"Release build of {commit}, one node, {os.cpu_count()} cores. Each file has a chunk of its own, as no real volume has: small\n"
        "files share chunks. Rates are of one asker without a cache, one call after the other.\n\n"
    )
    tail = "\n![rates by size](scale.svg)\n\n## How to repeat it\n\n```\npython3 bench/scale.py\n```\n"
    (root / "docs/scale.md").write_text(head + "\n".join(table(rows)) + "\n" + tail)
    (root / "docs/scale.svg").write_text("\n".join(graph(rows)) + "\n")
