#!/usr/bin/env bash
# Fetches official test sets for `sluice eval` from their public homes, or takes them from a folder, and checks each
# against its pinned hash. They go to $SLUICE_DATA or ~/.cache/sluice/data. What is there already is checked and kept.
#
#   scripts/get_data.sh [--to DIR] [--from DIR] [--list FILE] SET...     SET: gsm8k bbh mmlu wikitext2, or all
#
# --from DIR  a folder laid out like the data folder, or one that holds the archives; nothing is fetched
# --list FILE another list than scripts/data_files.txt
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "get_data: needs python3" >&2; exit 1; }
exec python3 - "$here/data_files.txt" "${SLUICE_DATA:-$HOME/.cache/sluice/data}" "$@" << 'PYTHON'
import argparse, csv, hashlib, io, os, pathlib, sys, tarfile, tempfile, urllib.error, urllib.request, zipfile


def stop(message, code=1):
    print(f"get_data: {message}", file=sys.stderr)
    sys.exit(code)


def read_list(path):
    files, archives = [], {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 4:
            stop(f"{path}:{number}: {len(words)} words, not 4 (set, place, pin, address)", 2)
        if words[0] == "archive":
            archives[words[3]] = words[2]
        else:
            files.append(words)
    return files, archives


# What the bytes are, in the words of the pin, for comparing the two.
def found(pin, data):
    if pin.startswith("sha256:"):
        return "sha256:" + hashlib.sha256(data).hexdigest()
    if pin.startswith("records:"):
        rows = csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
        fields = "\x1e".join("\x1f".join(row) for row in rows)
        return "records:" + hashlib.sha256(fields.encode()).hexdigest()
    return pin


class Source:
    """Where files come from: a folder, or addresses, each fetched once."""

    def __init__(self, folder, archives):
        self.folder, self.archives, self.open = folder, archives, {}

    def raw(self, address):
        if self.folder:
            file = self.folder / address.rsplit("/", 1)[-1]
            if not file.is_file():
                return None
            return file.read_bytes()
        print(f"get_data: fetching {address}", file=sys.stderr)
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError, ValueError) as error:
            stop(f"could not fetch {address}: {error}\nget_data: without a connection here, run this where there is one "
                 "and bring the folder: --from DIR")

    def archive(self, address):
        if address not in self.open:
            data = self.raw(address)
            pin = self.archives.get(address)
            if data is None:
                self.open[address] = None
            elif pin is None:
                stop(f"{address} has no pin in the list", 2)
            elif found(pin, data) != pin:
                stop(f"{address} is not the file it should be\n  expected {pin}\n  found    {found(pin, data)}", 2)
            elif address.endswith(".zip"):
                archive = zipfile.ZipFile(io.BytesIO(data))
                self.open[address] = lambda member: archive.read(member)
            else:
                archive = tarfile.open(fileobj=io.BytesIO(data))
                self.open[address] = lambda member: archive.extractfile(member).read()
        return self.open[address]

    def get(self, place, pin, address):
        """The file's bytes, or None if the folder lacks it."""
        if self.folder and (self.folder / place).is_file():
            # Nothing vouches for a loose file without a pin.
            return (self.folder / place).read_bytes() if pin != "-" else None
        address, _, member = address.partition("#")
        if not member:
            return self.raw(address)
        archive = self.archive(address)
        try:
            return archive(member) if archive else None
        except KeyError:
            stop(f"{address} has no {member}")


def main():
    parser = argparse.ArgumentParser(prog="get_data.sh")
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path(sys.argv[2]))
    parser.add_argument("--from", type=pathlib.Path, dest="folder")
    parser.add_argument("--list", type=pathlib.Path, default=pathlib.Path(sys.argv[1]))
    parser.add_argument("sets", nargs="+", metavar="SET")
    words = parser.parse_args(sys.argv[3:])
    files, archives = read_list(words.list)
    known = list(dict.fromkeys(line[0] for line in files))
    for name in words.sets:
        if name not in known + ["all"]:
            stop(f"there is no set \"{name}\"; sets: {', '.join(known)}, all", 2)
    if words.folder and not words.folder.is_dir():
        stop(f"{words.folder} is no folder", 2)
    source = Source(words.folder, archives)
    kept, added, unchecked, wrong, missing = 0, 0, 0, [], []
    for name, place, pin, address in files:
        if name not in words.sets and "all" not in words.sets:
            continue
        target = words.to / place
        unchecked += pin == "-"
        if target.is_file() and found(pin, target.read_bytes()) == pin:
            kept += 1
            continue
        data = source.get(place, pin, address)
        if data is None:
            missing.append(place)
        elif found(pin, data) != pin:
            wrong.append(f"{place} is not the file it should be\n  expected {pin}\n  found    {found(pin, data)}")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=target.parent, prefix=".get_data.")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(part, 0o644)
            os.replace(part, target)
            added += 1
    for line in wrong:
        print(f"get_data: {line}", file=sys.stderr)
    if missing:
        print(f"get_data: {words.folder} has no {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""),
              file=sys.stderr)
    if unchecked:
        print(f"get_data: {unchecked} of the files have no known hash and are taken as they come", file=sys.stderr)
    print(f"get_data: {words.to}: {added} files added, {kept} were there", file=sys.stderr)
    sys.exit(2 if wrong else 1 if missing else 0)


main()
PYTHON
