#!/usr/bin/env python3
"""Turns what network.sh measured into a section of docs/performance.md.

    network_report.py DIR [--into FILE] -- [arguments that network.sh was given]"""
import json, os, pathlib, re, statistics, subprocess, sys

HEADING = "## From another machine\n"
NAMES = {"wolfdisk": "WolfDisk", "moosefs": "MooseFS", "glusterfs": "GlusterFS"}
LINKS = {"1gbit": ("1 Gbit/s", 125), "10gbit": ("10 Gbit/s", 1250), "veth": ("veth", None)}

own, given = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
measured = pathlib.Path(own[0])
into = pathlib.Path(own[2]) if len(own) > 1 else None
here = pathlib.Path(__file__).parent
commit = subprocess.run(
    ["git", "-c", "safe.directory=*", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
    capture_output=True, text=True, check=False,
).stdout.strip()
ratio = lambda a, b: f"{a / b:.2f}" if b else "-"


def compared(name):
    """The table of one network, if it was measured."""
    if not (measured / f"{name}.json").exists():
        return
    read = json.loads((measured / f"{name}.json").read_text())
    rounds = max(len(v) for row in read["figures"].values() for v in row.values())
    trip = (measured / f"{name}.trip").read_text().strip()
    what = {"link": "A veth pair", "slow": "The same with 0.3 ms added each way (`bench/delay.py`)"}[name]
    yield f"{what}; a byte there and back over TCP takes {trip} ms; medians of {rounds} rounds.\n"
    yield "| workload | unit | WolfDisk | MooseFS | GlusterFS | WolfDisk : MooseFS | WolfDisk : GlusterFS |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for workload, row in read["figures"].items():
        median = {name: statistics.median(row[name]) if row[name] else 0 for name in NAMES.values()}
        if any(median.values()):
            ours = median["WolfDisk"]
            cells = [f"{median[name]:,.0f}" if median[name] else "failed" for name in NAMES.values()]
            cells += [ratio(ours, median[name]) for name in ("MooseFS", "GlusterFS")]
            yield f"| {workload} | {read['units'][workload]} | {' | '.join(cells)} |"
    for line in (measured / f"{name}.failures").read_text().splitlines():
        if line.startswith("#"):
            yield f"\nFailed: {line.lstrip('# ')}"
    yield ""


def streams():
    """What one writer and one reader get of a link."""
    if not (measured / "rates").exists():
        return
    seen = {}
    for line in (measured / "rates").read_text().splitlines():
        system, rate, way, megabytes = line.split()
        seen.setdefault((rate, way), {}).setdefault(system, []).append(float(megabytes))
    rounds = max(len(each) for row in seen.values() for each in row.values())
    yield "One writer with `fsync` at the end, then one reader after the mount was made anew and the caches were dropped, in"
    yield f"MB/s, medians of {rounds} rounds; of what the link carries in brackets.\n"
    yield "| link | | WolfDisk | MooseFS | GlusterFS |"
    yield "|---|---|---:|---:|---:|"
    for (rate, way), row in seen.items():
        link, most = LINKS[rate]
        median = {name: statistics.median(row.get(name, [0])) for name in NAMES}
        cells = [f"{median[name]:,.0f}" + (f" ({median[name] / most:.2f})" if most else "") for name in NAMES]
        yield f"| {link} | {way} | {' | '.join(cells)} |"
    gigabytes = (measured / "random").stat().st_size / 1e9
    lines = [line.split() for line in (measured / "worked").read_text().splitlines()]
    second = os.sysconf("SC_CLK_TCK") * gigabytes
    took = lambda way, of: statistics.median(int(line[of]) for line in lines if line[0] == way) / second
    yield "\nOf processor time, a GB of WolfDisk's took"
    parts = [f"{took(way, 1):.1f} s of the client's and {took(way, 2):.1f} s of the node's {what}"
             for way, what in (("write", "to be written"), ("read", "to be read"))]
    yield ", ".join(parts) + ": a link of 10 Gbit/s asks for 1.25 times as many cores on either side.\n"


section = "\n".join([
    HEADING,
    f"`bench/network.sh`, release build of {commit}: servers in one network namespace, mounts in another, all on the two cores",
    "of one machine. WolfDisk is a client that joined by a token and holds nothing; its connections are encrypted, those of the",
    "others are not.\n",
    *compared("link"), *compared("slow"), *streams(),
    "```", f"cargo xtask bench network{' ' if given else ''}{' '.join(given)}", "```", "",
])
if into is None:
    print(section)
else:
    text = into.read_text()
    before, _, rest = text.partition(HEADING)
    after = re.search(r"^## .*", rest, re.M | re.S)
    into.write_text(before.rstrip() + "\n\n" + section + ("\n" + after.group() if after else ""))
