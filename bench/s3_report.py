#!/usr/bin/env python3
"""Turns what s3.sh measured into the section "S3" of a document, or prints it.

    s3_report.py FIGURES_DIR GARAGE [--into DOCUMENT] [arguments that s3.sh was given]"""
import collections, json, pathlib, re, statistics, subprocess, sys

folder, garage, arguments = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
into = None
if arguments[:1] == ["--into"]:
    into, arguments = pathlib.Path(arguments[1]), arguments[2:]
NAMES = ["WolfDisk", "Garage-fsync", "Garage"]
UNITS = {"put-8m": "mb_per_s", "get-8m": "mb_per_s", "list": "keys_per_s"}
SHOWN = {"operations_per_s": "/s", "mb_per_s": "MB/s", "keys_per_s": "keys/s"}
# What WolfDisk is to reach of each row, beside 1.5 times Garage.
LEAST = {"put-4k": 1500, "get-4k": 5000, "get-8m": 1500, "list": 100_000}

rows = collections.defaultdict(lambda: collections.defaultdict(list))
latencies = collections.defaultdict(lambda: collections.defaultdict(list))
limits = collections.defaultdict(list)
for file in folder.glob("*.json"):
    _, name, _ = file.name.split(".")
    measured = json.load(file.open())
    if name == "limits":
        for what, value in measured.items():
            limits[what].append(value)
        continue
    for row, values in measured.items():
        unit = UNITS.get(row.split()[0], "operations_per_s")
        rows[row][name].append(values[unit])
        latencies[row][name].append((values["p50_ms"], values["p99_ms"]))

limit = {what: statistics.median(values) for what, values in limits.items()}
LEAST["put-8m"] = 0.8 * min(2 * limit["md5_mb_per_s"], limit["synced_mb_per_s"])
order = ["put-4k", "get-4k", "delete", "put-8m", "get-8m", "list"]
place = lambda row: (order.index(row.split()[0]), int(row.split("x")[-1]))
version = subprocess.run([garage, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
version = version.removeprefix("cargo:")
lines = [
    "## S3",
    "",
    f"`bench/s3.sh` on the S3 endpoint of WolfDisk and on Garage {version} (one node, replication 1, LMDB, no compression),",
    "in turn in one run on one disk: requests of one connection after the other, over 8 and over 32 connections, every byte",
    "compared. Garage as it comes answers before anything is on the disk; *Garage-fsync* has `metadata_fsync` and",
    f"`data_fsync` on, so that its answers mean what those of WolfDisk mean. Medians of {max(len(v) for r in rows.values() for v in r.values())} rounds; in brackets the",
    "median and the 99th percentile of an operation in ms.",
    "",
    f"| row | unit | {' | '.join(NAMES)} | WolfDisk : Garage-fsync | WolfDisk : Garage | to reach | of it |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|",
]
for row in sorted(rows, key=place):
    unit = UNITS.get(row.split()[0], "operations_per_s")
    median = {name: statistics.median(rows[row][name]) for name in NAMES}
    time = lambda name, which: statistics.median(pair[which] for pair in latencies[row][name])
    cells = [f"{median[name]:,.0f} ({time(name, 0):.1f}, {time(name, 1):.1f})" for name in NAMES]
    ratios = [f"{median['WolfDisk'] / median[name]:.2f}" for name in NAMES[1:]]
    least = LEAST.get(row.split()[0])
    bar = [f"{least:,.0f}", f"{median['WolfDisk'] / least:.2f}"] if least else ["-", "-"]
    lines.append(f"| {row} | {SHOWN[unit]} | {' | '.join(cells + ratios + bar)} |")
given = " " + " ".join(arguments) if arguments else ""
lines += [
    "",
    f"In the same run: MD5 {limit['md5_mb_per_s']:,.0f} MB/s a core (OpenSSL), {limit['synced_mb_per_s']:,.0f} MB/s written by one writer"
    f" that syncs every 8 MiB,",
    f"{limit['syncs_per_s']:,.0f} syncs/s of 4 KiB appends by one writer. *To reach* of 8 MiB PUT is 0.8 of what the disk and MD5 on"
    " all cores allow.",
    "A median of 40 to 45 ms of small Gets is the kernel's delayed acknowledgement, for which a server waits that sends an",
    "answer in two pieces without `TCP_NODELAY`: such a row compares that, and not what the server could do.",
    "What listings come up against is in [levers.md](levers.md).",
    "",
    "```",
    f"cargo xtask bench s3{given}",
    "```",
    "",
]
section = "\n".join(lines)
if into is None:
    print(section)
else:
    text = into.read_text()
    before, _, rest = text.partition("## S3\n")
    after = re.search(r"^## .*", rest, re.M | re.S)
    into.write_text(before.rstrip() + "\n\n" + section + ("\n" + after.group() if after else ""))
