"""``hf://OWNER/NAME@REVISION`` in the place of a model file: the files of a model on a hub, and never its code."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from ti_core.errors import ModelFileError, SettingsError
from ti_core.system.folders import default_folder, private_folder, temporary_folder
from ti_core.text import shown

NAMED = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?", re.A)
COMMIT = re.compile(r"[0-9a-f]{40}")
INSTALL = (
    "A model on a hub needs the package huggingface_hub, which is not installed; run"
    " pip install 'trojaninterpret[hub]'."
)


def is_on_a_hub(path: Path) -> bool:
    """Whether a command line names a model on a hub. A path keeps only one of two slashes."""
    return str(path).startswith("hf:/")


def fetched(path: Path) -> tuple[Path, str]:
    """The folder with the model's files, and a sentence on what was fetched.

    The names of the files say which are read, as with a folder (:mod:`ti_core.loading.hub.files`). Only those are
    fetched, of the commit that the revision leads to. They are kept in the cache by that commit. This process
    reads nothing in them.

    Raises
    ------
    SettingsError : the name is none, the package is missing, or there is no such model or revision.
    ModelFileError : the repository's files are no model folder's.
    """
    named = NAMED.fullmatch(str(path))
    if named is None:
        raise SettingsError(
            f"{shown(str(path), 200)} names no model on a hub; write hf://OWNER/NAME@REVISION."
        )
    if find_spec("huggingface_hub") is None:
        raise SettingsError(INSTALL)
    from huggingface_hub import HfApi, snapshot_download

    from ti_core.loading.hub.files import choose

    name, revision = named.groups()
    try:
        info = HfApi().model_info(name, revision=revision)
    except Exception as error:
        raise _unreachable(name, revision, error) from error
    commit = str(info.sha)
    if COMMIT.fullmatch(commit) is None:
        raise SettingsError(f"The hub gave no commit for {name}; name one after @.")
    files = [str(file.rfilename) for file in info.siblings or () if "/" not in str(file.rfilename)]
    try:
        read = choose(files).read
    except ModelFileError as error:
        raise ModelFileError(f"{name} at {commit[:12]}: {error}") from error
    folder = _kept(name, commit)
    if not all((folder / file).is_file() for file in read):
        try:
            snapshot_download(name, revision=commit, local_dir=folder, allow_patterns=list(read))
        except Exception as error:
            raise _unreachable(name, revision, error) from error
    return folder, f"{name} at commit {commit}: {len(read)} files."


def _kept(name: str, commit: str) -> Path:
    """The folder of that commit's files."""
    cache = default_folder()
    root = temporary_folder("hub") if cache is None else cache.absolute() / "hub"
    folder = root / name.replace("/", "--") / commit
    try:
        private_folder(folder)
    except OSError:
        folder = temporary_folder("hub") / name.replace("/", "--") / commit
        private_folder(folder)
    return folder


def _unreachable(name: str, revision: str | None, error: Exception) -> SettingsError:
    """What is said of a model that cannot be fetched."""
    at = f" at {shown(revision)}" if revision else ""
    kind = type(error).__name__
    if kind in ("RepositoryNotFoundError", "GatedRepoError"):
        return SettingsError(
            f"The hub has no model {name}, or you may not read it; check the name, or log in to the hub."
        )
    if kind == "RevisionNotFoundError":
        return SettingsError(f"The model {name} has no revision{at}; name a branch, a tag or a commit.")
    return SettingsError(
        f"{name}{at} cannot be fetched from the hub ({kind}); check the connection and try again."
    )
