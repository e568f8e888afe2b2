"""On what machine the figures were measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from tempfile import gettempdir

import psutil


def description() -> str:
    return (
        f"{platform.node()}: {_cpu()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, data folders on {_file_system(Path(gettempdir()))}"
    )


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # It is not Linux.
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    above = [
        part
        for part in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(part.mountpoint)
    ]
    return max(above, key=lambda part: len(part.mountpoint)).fstype if above else "an unknown disk"
