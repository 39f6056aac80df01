#!/usr/bin/env python3
"""What an index costs by its size: fills a node step by step and writes docs/scale.md with a graph beside it.

    scale.py [--sizes 0,100000,1000000,10000000] [--names 10000,100000,1000000] [--dir DIR] [--keep DIR] [--keep-doc]

At each size: files created and looked up a second, memory of the daemons, room on disk, and how long a start takes.
Each file has a chunk of its own, which takes about 1 KB of disk in all. Then, through the mount, directories of so many
names: made, listed, looked at, removed. Everything lives below DIR (default: a new directory in TMPDIR) and is removed at
the end; with --keep it stays, and a run with the same goes on with the sizes that are not measured yet. WOLFDISK_BIN names a folder of built programs; else they are built."""
import argparse, json, os, pathlib, shutil, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--sizes", default="0,100000,1000000,10000000")
ap.add_argument("--names", default="10000,100000,1000000")
ap.add_argument("--dir", default=None)
ap.add_argument("--keep", default=None)
ap.add_argument("--keep-doc", action="store_true")
args = ap.parse_args()
sizes, names = ([int(size) for size in given.split(",") if size] for given in (args.sizes, args.names))


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
        (work / "mount").mkdir(exist_ok=True)

    def start(self):
        """Gives the seconds until the mount is usable."""
        begun = time.perf_counter()
        command = [self.folder / "wolfdiskctl", "up", "-d", self.work / "data", "-m", self.work / "mount", "--s3", "off"]
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


def rate(count, work):
    begun = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - begun))


def directory(node, size):
    """A directory of so many empty files: what each step takes by the name."""
    path = f"{node.work}/mount/names-{size}"
    os.mkdir(path)
    make = lambda: [os.close(os.open(f"{path}/{n}", os.O_CREAT | os.O_WRONLY)) for n in range(size)]
    row = dict(names=size, made=rate(size, make))
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    row["listed"] = rate(size, lambda: os.listdir(path))
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    row["looked_at"] = rate(size, lambda: [os.stat(f"{path}/{n}") for n in range(size)])
    row["removed"] = rate(size, lambda: [os.unlink(f"{path}/{n}") for n in range(size)])
    os.rmdir(path)
    row |= {name: node.memory(name)[0] for name in ("wolfdisk-meta", "wolfdisk-fuse")}
    print(row, flush=True)
    return row


def directories(rows):
    yield "| names | made/s | listed/s | stat/s | removed/s | memory of wolfdisk-meta, MB | of wolfdisk-fuse, MB |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        yield (
            "| {names:,} | {made:,} | {listed:,} | {looked_at:,} | {removed:,} | {wolfdisk-meta:.0f} | "
            "{wolfdisk-fuse:.0f} |".format(**row)
        )


folder = programs()
work = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="wolfdisk-scale-", dir=args.dir))
work.mkdir(exist_ok=True)
kept = work / "rows.json"
measured = json.loads(kept.read_text()) if kept.exists() else dict(rows=[], names=[])
rows, listings = measured["rows"], measured["names"]
node = Node(folder, work)
try:
    node.start()
    for done, key, wanted, step in (
        (rows, "files", sizes, lambda size: measure(node, folder, size)),
        (listings, "names", names, lambda size: directory(node, size)),
    ):
        for size in wanted:
            if size not in [row[key] for row in done]:
                done.append(step(size))
                kept.write_text(json.dumps(measured))
finally:
    node.stop()
    if not args.keep:
        shutil.rmtree(work, ignore_errors=True)
print("\n".join([*table(rows), *directories(listings)]))
if not args.keep_doc:
    commit = subprocess.run(["git", "-C", root, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    head = (
        "# What an index costs by its size\n\n"
        f"Release build of {commit}, one node, {os.cpu_count()} cores. Each file has a chunk of its own, as no real volume has: small\n"
        "files share chunks. Rates are of one asker without a cache, one call after the other. Names that are looked up are drawn\n"
        "at random: of a large index each takes two pages that nobody else has asked for, from the kernel's page cache or from\n"
        "the disk. An empty index is all in memory.\n\n"
    )
    middle = (
        "\n![rates by size](scale.svg)\n\n## A directory by its number of names\n\n"
        "Empty files, through the mount, by one process; listed and looked at after the kernel's caches were dropped.\n\n"
    )
    tail = "\n## How to repeat it\n\n```\npython3 bench/scale.py\n```\n"
    (root / "docs/scale.md").write_text(
        head + "\n".join(table(rows)) + "\n" + middle + "\n".join(directories(listings)) + "\n" + tail
    )
    (root / "docs/scale.svg").write_text("\n".join(graph(rows)) + "\n")
