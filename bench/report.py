#!/usr/bin/env python3
"""Turns the figures of workloads.py into docs/performance.md.

    report.py FIGURES.json FAILURES [arguments that workloads.py was given]"""
import json, os, pathlib, re, statistics, subprocess, sys

measured = json.load(open(sys.argv[1]))
figures, units = measured["figures"], measured["units"]
failures = [line.strip() for line in open(sys.argv[2]) if line.startswith("#")]
arguments = sys.argv[3:]
here = pathlib.Path(__file__).parent


def said(*command):
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def facts():
    cpu = re.search(r"Model name:\s*(.*)", said("lscpu"))
    memory = re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read())
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', open("/etc/os-release").read(), re.M))
    packaged = lambda name: said("dpkg-query", "-W", "-f", "${Version}", name) or "unknown"
    commit = said("git", "-c", "safe.directory=*", "-C", str(here), "rev-parse", "--short=12", "HEAD")
    virtual = said("systemd-detect-virt") or "none"
    yield "processor", f"{os.cpu_count()} x {cpu.group(1) if cpu else 'unknown'}"
    yield "memory", f"{int(memory.group(1)) / 2**20:.0f} GiB" if memory else "unknown"
    yield "virtualisation", virtual
    yield "system", f"{system.get('PRETTY_NAME', 'Linux')}, Linux {os.uname().release.split('-')[0]}"
    yield "WolfDisk", f"release build of {commit}, one node, `wolfdiskctl up` without a configuration"
    yield "exclusive", "the same, `wolfdiskctl up -o exclusive`: the kernel buffers writes and keeps locks"
    yield "memory", "the ceiling: a file system in memory (`bench/ceiling`) with the FUSE settings of WolfDisk"
    yield "MooseFS", f"{packaged('moosefs-master')}, one master, one chunk server, goal 1, default settings"
    yield "GlusterFS", f"{packaged('glusterfs-server')}, one brick, default settings"


names = list(next(iter(figures.values())))
base = names[-1]
rounds = max(len(v) for row in figures.values() for v in row.values())
ours, others = names[0], [name for name in names[1:-1] if name != "exclusive"]
print("# Performance\n")
print(f"`bench/workloads.py` on {', '.join(names[:-1])} and {base} (the disk that all of them lie on),")
print(f"workload by workload in turn in one run of {rounds} rounds. The table shows medians; more is better in")
print(f"every row. The ratio in brackets is to {base}, the last columns compare {ours} with the others.\n")
print("| | |\n|---|---|")
for what, value in facts():
    print(f"| {what} | {value} |")

# What each row must reach: a share of one of the others, or of the slower of two. The first pattern that fits counts.
BARS = [
    (r"100,000|git|grep -r, warm|cp -r|make", 0.5, [base]),
    (r"fsync$|sqlite", 0.6, [base]),
    (r"(read|write) 1M", 0.9, ["memory", base]),
    (r"random read", 0.8, ["memory", base]),
    (r"random write 4k$", 3.0, ["MooseFS"]),
    (r"", 0.7, ["memory"]),
]


def bar(workload, median):
    """The bar of a row, and by how much it is reached: of writes without fsync with the kernel's write-back cache."""
    _, factor, of = next(entry for entry in BARS if re.search(entry[0], workload))
    least = factor * min(median[name] for name in of)
    reached = median["exclusive" if of == ["MooseFS"] else ours]
    return f"{factor} x {' or '.join(of)}", f"{reached / least:.2f}" if least else "-"


compared = " | ".join(f"{ours} : {other}" for other in others)
print(f"\n| workload | unit | {' | '.join(names)} | {compared} | bar | of it |")
print("|---|---|" + "---:|" * (len(names) + len(others)) + "---|---:|")
for workload, row in figures.items():
    if not any(row[n] for n in names):
        continue
    median = {n: statistics.median(row[n]) if row[n] else 0 for n in names}
    ratio = lambda a, b: f"{median[a] / median[b]:.2f}" if median[b] else "-"
    shown = lambda n: f"{median[n]:,.0f}" + (f" ({ratio(n, base)})" if n != base else "")
    cells = [shown(n) if row[n] else "-" for n in names]
    cells += [ratio(ours, other) for other in others] + list(bar(workload, median))
    print(f"| {workload} | {units[workload]} | {' | '.join(cells)} |")
for failure in failures:
    print(f"\nFailed: {failure.lstrip('# ')}")
if measured["memory"]:
    print("\nThe most memory that a daemon of WolfDisk took for itself meanwhile, without mapped files: ", end="")
    print(", ".join(f"{name} {most:.0f} MB" for name, most in sorted(measured["memory"].items())) + ".")
print("""
*Bar*: what a row is to reach, and how much of it it does; of random writes without `fsync` *exclusive* counts. What those
below their bar come up against is in [levers.md](levers.md).""")
given = " " + " ".join(arguments) if arguments else ""
print(f"""
## How to repeat it

```
cargo xtask bench{given}
```

As root. It installs the others, builds WolfDisk, starts one node of each (MooseFS and GlusterFS on addresses of
veth pairs, since they refuse loopback), runs the workloads, stops and removes everything, and writes this
file. Cold rows drop the page cache first; the front-ends' and daemons' own caches stay.

The round trip that every metadata call is made of is measured by
`cargo run --release -p wolfdisk-proto --example framed_bench`.""")
# What s3.sh has put there stays.
_, section, rest = (here.parent / "docs/performance.md").read_text().partition("\n## S3\n")
print(section + rest, end="")
