"""Releases of kfp and KFP: which one compiled a pipeline, and whether the KFP that runs it is
older.

An older KFP refuses unknown fields with "unknown template format", and silently drops unknown
fields of the part for Kubernetes.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..errors import BadRequest, KfpError
from ..models import Health

_RELEASE = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")
# As KFP writes it with 400 or 500, from 2.0 on.
_NOT_READ = re.compile(r"unknown template format|unknown field|invalid v2 pipeline spec")
# Where a compiled pipeline names the kfp that compiled it, in YAML and in JSON.
_SDK = re.compile(rb"""sdkVersion["']?\s*:\s*["']?(kfp-[0-9.]+)""")
_WORDS = {
    "workspace": "its workspace",
    "resourceTtlOnCompletion": "the time after which it is cleaned up",
    "resourceTtlOnSuccess": "the time after which it is cleaned up",
    "resourceTtlOnFailure": "the time after which it is cleaned up",
    "activeDeadlineSeconds": "its deadline",
}


def older(server: Health, sdk: str) -> tuple[str, str] | None:
    """Return the releases of a KFP and of a newer kfp; None if KFP is as new, or not known."""
    here, there = _RELEASE.search(sdk), _RELEASE.search(server.tag_name)
    if server.local or not here or not there:
        return None
    behind = tuple(map(int, there.groups())) < tuple(map(int, here.groups()))
    return (there[0], here[0]) if behind else None


def compiled_by(spec: dict[str, Any]) -> str:
    """Return the kfp that compiled it, such as `kfp-2.17.3`; empty if it does not say."""
    return str(spec.get("pipeline_spec", spec).get("sdkVersion", ""))


def sent(body: bytes) -> dict[str, Any]:
    """Return the pipeline in a request to start a run; of an upload only its kfp version."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any]).get("pipeline_spec")
    except (msgspec.DecodeError, UnicodeDecodeError):
        named = _SDK.search(body)
        return {"sdkVersion": named[1].decode()} if named else {}
    return found if isinstance(found, dict) else {}


def is_unread(error: KfpError) -> bool:
    """Tell whether KFP has refused a pipeline because it could not read it."""
    return bool(_NOT_READ.search(f"{error.message} {error.server_text}"))


def told(error: KfpError, spec: dict[str, Any], server: Health) -> KfpError:
    """Return the error with the reason, if a newer kfp compiled the pipeline."""
    if spec.keys() == {"platforms"}:
        return _in_part(error)
    releases = older(server, compiled_by(spec))
    if not releases:
        return error
    return BadRequest(
        reason="KFP cannot read the pipeline.",
        cause=f"It was compiled by kfp {releases[1]}, and this KFP is {releases[0]}, which does "
        "not know all of its fields.",
        cure=f"Compile it with the kfp of that release:\npip install 'kfp=={releases[0]}.*'",
        server_text=error.server_text,
    )


def _in_part(error: KfpError) -> BadRequest:
    """For a run of a file with a part for Kubernetes: KFP 2.5 keeps only that part."""
    return BadRequest(
        reason="KFP does not return its pipeline.",
        cause="For a compiled file with a part for Kubernetes, this KFP returns only that part.",
        cure="Run the file itself, or upload it and run the uploaded pipeline.",
        server_text=error.server_text,
    )


def dropped(spec: dict[str, Any], server: Health) -> list[str]:
    """Return warnings about fields that an older KFP may silently drop."""
    found = _of_the_pipeline(spec)
    releases = older(server, compiled_by(spec)) if found else None
    if not releases:
        return []
    return [
        f"KFP {releases[0]} is older than kfp {releases[1]}, which compiled this pipeline, and may "
        f"silently ignore {' and '.join(found)}. For errors when compiling instead: "
        f"pip install 'kfp=={releases[0]}.*'"
    ]


def _of_the_pipeline(spec: dict[str, Any]) -> list[str]:
    platforms = spec.get("platform_spec", {}).get("platforms", {})
    config = platforms.get("kubernetes", {}).get("pipelineConfig", {})
    return list(dict.fromkeys(words for name, words in _WORDS.items() if name in config))
