#!/usr/bin/python3
"""archive.py OUT.tar NAME:TAG [OPTION…]: an image of one layer, as `docker save` writes it, without a daemon.
SPDX-License-Identifier: Apache-2.0

  --tree FOLDER=DEST     the files of a folder
  --programs PATH…       programs of this machine, with the libraries that they need
  --packages NAME…       Debian packages of this machine, with the libraries that their programs need
  --entrypoint ARG…      what the image runs

For tests, and where no container builder is: what comes out holds this machine's own Debian files.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import IO


def output(*command: str) -> list[str]:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()


def is_elf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(path: Path) -> set[Path]:
    try:
        lines = output("ldd", str(path))
    except subprocess.CalledProcessError:  # a static program
        return set()
    words = (word for line in lines for word in line.split())
    return {Path(word) for word in words if word.startswith("/")}


def files_of(packages: list[str]) -> set[Path]:
    found = {Path(line) for line in output("dpkg", "--listfiles", *packages) if line.startswith("/")} if packages else set()
    unwanted = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale")
    return {p for p in found if os.path.lexists(p) and not str(p).startswith(unwanted)}


class Layer:
    """A tar of files, each with its folders, all of them root's."""

    def __init__(self, out: IO[bytes]) -> None:
        self.tar = tarfile.open(fileobj=out, mode="w")
        self.seen: set[str] = set()
        # Debian's folders are links into /usr, and so must ours be
        for name in ("bin", "sbin", "lib", "lib64"):
            self.link(name, f"usr/{name}")
        for name in ("tmp", "var/tmp"):
            self.folder(name, 0o1777)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self.seen.add(name)
        self.tar.addfile(entry)

    def folder(self, name: str, mode: int = 0o755) -> None:
        if name in ("", ".") or name in self.seen:
            return
        self.folder(os.path.dirname(name))
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self.seen.add(name)
        self.tar.addfile(entry)

    def add(self, source: Path, name: str) -> None:
        top, _, rest = name.partition("/")
        name = f"usr/{name}" if top in ("bin", "sbin", "lib", "lib64") and rest else name
        if name in self.seen:
            return
        if source.is_dir() and not source.is_symlink():
            self.folder(name)
            return
        self.folder(os.path.dirname(name))
        self.seen.add(name)
        entry = self.tar.gettarinfo(str(source), name)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        with source.open("rb") if entry.isfile() else io.BytesIO() as data:
            self.tar.addfile(entry, data)

    def add_tree(self, folder: Path, dest: str) -> None:
        for source in sorted(folder.rglob("*")):
            self.add(source, f"{dest.strip('/')}/{source.relative_to(folder)}".strip("/"))


def write_layer(out: IO[bytes], options: argparse.Namespace) -> None:
    layer = Layer(out)
    wanted = files_of(options.packages) | {Path(p) for p in options.programs}
    needed = {library for path in wanted if is_elf(path) for library in libraries(path)}
    for path in sorted(wanted | needed):
        layer.add(path, str(path).lstrip("/"))
        if path.is_symlink():
            real = path.resolve()
            layer.add(real, str(real).lstrip("/"))
    for tree in options.tree:
        folder, dest = tree.split("=")
        layer.add_tree(Path(folder), dest)
    layer.tar.close()


def digest(file: IO[bytes]) -> str:
    file.seek(0)
    total = hashlib.sha256()
    while piece := file.read(1 << 20):
        total.update(piece)
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.add_argument("--tree", action="append", default=[])
    for option in ("--programs", "--packages", "--entrypoint"):
        parser.add_argument(option, nargs="+", default=[])
    options = parser.parse_args()

    layer_file = options.out.with_suffix(".layer")
    with layer_file.open("w+b") as layer, tarfile.open(options.out, "w") as out:
        write_layer(layer, options)
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        runs = {"Env": environment, "WorkingDir": "/"} | ({"Entrypoint": options.entrypoint} if options.entrypoint else {})
        layers = {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]}
        config = json.dumps({"architecture": machine, "os": "linux", "config": runs, "rootfs": layers}).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps([{"Config": name, "RepoTags": [options.name], "Layers": ["layer.tar"]}]).encode()
        for path, data in ((name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
        out.add(layer_file, "layer.tar")
    layer_file.unlink()
    print(f"{options.out}: {options.name}, {options.out.stat().st_size >> 20} MiB")


if __name__ == "__main__":
    main()
