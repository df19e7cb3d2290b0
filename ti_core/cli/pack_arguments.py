"""Arguments of the commands that make and measure reference packs: ``pack``, ``zoo`` and ``evaluate``."""

from __future__ import annotations

import argparse
from typing import Any

from ti_core.cli.output import a_count, a_folder, a_name, a_path

ENGINES = ("local", "ray")
MEMBERS = ("fitted", "held-out", "all")


def add_pack_commands(commands: Any) -> None:
    """Add them to the sub-commands of the command line."""
    _pack(commands.add_parser("pack", help="list, show, check or build reference packs"))
    _zoo(commands.add_parser("zoo", help="train reference models"))
    _evaluate(commands.add_parser("evaluate", help="Table 1 on members that took no part in fitting"))


def _pack(pack: argparse.ArgumentParser) -> None:
    verbs = pack.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="the bundled packs, and those that were added")
    _carried(verbs)
    for verb, says in (
        ("info", "what a pack holds"),
        ("verify", "recompute what can be recomputed and compare"),
        ("renew", "after a change to the streams: compute their evidence anew and fit the detectors again"),
    ):
        p = verbs.add_parser(verb, help=says)
        p.add_argument("name", type=a_name, metavar="NAME", help="a bundled pack or a folder")
        if verb == "verify":
            p.add_argument(
                "--members",
                type=int,
                metavar="N",
                help="members to recompute (0: all; default: as many as about two minutes allow)",
            )
        if verb == "renew":
            _how(p)
    learn = verbs.add_parser("learn", help="learn methods of second opinions on a pack's fitted members")
    learn.add_argument("name", type=a_name, metavar="NAME", help="a bundled pack or a folder")
    learn.add_argument(
        "--methods",
        type=a_name,
        metavar="NAME,...",
        help="the methods to learn (default: all that are learnt)",
    )
    learn.add_argument(
        "--out", type=a_folder, metavar="FOLDER", help="keep it there (default: below the cache folder)"
    )
    extend = verbs.add_parser(
        "extend",
        help="a pack with more reference models",
        description="Only what the new networks change is computed; the detectors are fitted anew.",
    )
    extend.add_argument("name", type=a_name, metavar="NAME", help="a bundled pack or a folder")
    extend.add_argument(
        "--zoo",
        type=a_path,
        required=True,
        metavar="FOLDER",
        help="what zoo train wrote, of the pack's images",
    )
    extend.add_argument("--out", type=a_folder, required=True, metavar="FOLDER")
    extend.add_argument(
        "--without", nargs="+", default=[], type=a_name, metavar="ID", help="members of the pack to leave out"
    )
    extend.add_argument(
        "--streams",
        type=lambda text: tuple(filter(None, text.split(","))),
        metavar="NAME,...",
        help="of the new pack; what the old one lacks is computed for all members (default: those of the old one)",
    )
    _how(extend)
    _build(verbs)


def _carried(verbs: Any) -> None:
    """The verbs that carry packs from one place to another."""
    add = verbs.add_parser("add", help="store a pack where every command finds it by its name")
    add.add_argument(
        "source", type=a_path, metavar="FILE_OR_FOLDER", help="a pack's folder, or a zip archive of it"
    )
    add.add_argument(
        "--name", type=a_name, metavar="NAME", help="store it under this name (default: its own)"
    )
    add.add_argument("--sha256", metavar="DIGEST", help="what the digest of its pack.json should be")
    wheel = verbs.add_parser("wheel", help="make a package of a pack, which pip installs")
    wheel.add_argument("name", type=a_name, metavar="NAME", help="a bundled pack or a folder")
    wheel.add_argument("--out", type=a_folder, required=True, metavar="FOLDER", help="where the package goes")


def _build(verbs: Any) -> None:
    build = verbs.add_parser(
        "build",
        help="build a pack: from images, from a trained zoo, or from the Trojan Detection Challenge's networks",
        description="Without --zoo or --from-tdc the reference models are trained first, on the images of --data.",
    )
    build.add_argument("--data", type=a_path, required=True, metavar="FILE_OR_FOLDER", help="labelled images")
    build.add_argument("--out", type=a_folder, required=True, metavar="FOLDER")
    build.add_argument(
        "--architecture",
        action="append",
        default=[],
        type=a_name,
        metavar="NAME[:OPTION=VALUE,...]",
        help="train networks of this kind; may be repeated (default: a mixture that suits the images)",
    )
    build.add_argument(
        "--zoo",
        type=a_path,
        metavar="FOLDER",
        help="what zoo train wrote; with --architecture, where to train",
    )
    build.add_argument(
        "--from-tdc",
        type=a_path,
        metavar="FOLDER",
        help="the Trojan Detection Challenge 2022's folder, with the paper's protocol",
    )
    build.add_argument("--name", type=a_name, metavar="NAME")
    build.add_argument(
        "--count", type=int, default=96, metavar="N", help="members to train, half of them clean"
    )
    build.add_argument("--seed", type=int, default=0, metavar="N")
    build.add_argument(
        "--estimate", action="store_true", help="say how long training and evidence would take, and stop"
    )
    _work(build)
    _settings(build)


def _zoo(zoo: argparse.ArgumentParser) -> None:
    verbs = zoo.add_subparsers(dest="verb", required=True, metavar="VERB")
    samples = verbs.add_parser("samples", help="train the three demonstration models of a data set")
    samples.add_argument("--data", type=a_path, required=True, metavar="FILE")
    samples.add_argument("--out", type=a_folder, required=True, metavar="FOLDER")
    samples.add_argument("--seed", type=int, metavar="N", help="other networks than the bundled ones")
    samples.add_argument(
        "--bases",
        type=a_path,
        metavar="FOLDER",
        help="fine-tune them from the most accurate base there that is held out from fitting",
    )
    train = verbs.add_parser(
        "train", help="train clean and trojaned reference models; a killed run goes on where it stopped"
    )
    train.add_argument("--data", type=a_path, required=True, metavar="FILE_OR_FOLDER")
    train.add_argument("--out", type=a_folder, required=True, metavar="FOLDER")
    train.add_argument("--count", type=int, default=192, metavar="N", help="members, half of them clean")
    train.add_argument("--seed", type=int, default=0, metavar="N")
    train.add_argument(
        "--way",
        choices=("scratch", "bases", "fresh", "short", "kinds"),
        default="scratch",
        help="bases: fine-tune every member from one of a few well-trained clean networks; fresh: independent ones of"
        " standard training and poisoning; short: small networks of many architectures in a few passes over the images;"
        " kinds: --count backdoors of every kind, and as many clean networks of every sort that detectors find hard;"
        " the last three are to be added to others",
    )
    train.add_argument(
        "--families",
        type=a_name,
        metavar="NAME,...",
        help="with --way kinds: these families only (default: all of them)",
    )
    train.add_argument(
        "--bases",
        type=a_name,
        metavar="FOLDER",
        help="with --way bases or kinds: fine-tune the clean networks that another run trained there, or a pack's own"
        " (--bases pack:NAME)",
    )
    train.add_argument(
        "--begin-with",
        type=a_path,
        metavar="FOLDER",
        help="with --way bases: train the clean networks from the layers of those there, which know other data",
    )
    train.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="of the batched engine"
    )
    train.add_argument(
        "--minutes", type=float, metavar="M", help="of the batched engine: stop cleanly before so long"
    )
    _work(train, (*ENGINES, "batched"))


def _evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("--pack", required=True, type=a_name, metavar="NAME")
    what = evaluate.add_mutually_exclusive_group()
    what.add_argument(
        "--shift",
        action="store_true",
        help="leave one recipe, and one architecture, out of the fit and test on it",
    )
    what.add_argument(
        "--ablations", action="store_true", help="the paper's stream with one thing changed at a time"
    )
    what.add_argument(
        "--methods",
        type=a_name,
        metavar="NAME,...",
        help="ask these methods of other publications, or all, about every held-out member; a run that was stopped"
        " goes on",
    )
    evaluate.add_argument(
        "--count",
        type=a_count,
        metavar="N",
        help="with --methods: N members of each kind of backdoor only, and as many clean ones as of all kinds together,"
        " always the same (default: every member)",
    )
    evaluate.add_argument(
        "--members",
        choices=MEMBERS,
        default="fitted",
        help="with --shift or --ablations: whom to test (default: fitted, so that the held-out ones stay unseen)",
    )
    evaluate.add_argument(
        "--automl-budget",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="with --ablations: search time of AutoML for each of its fits (0: none)",
    )
    evaluate.add_argument(
        "--json", type=a_path, metavar="FILE", help="write the rows as JSON (-: to standard output)"
    )
    _settings(evaluate)


def _work(command: argparse.ArgumentParser, engines: tuple[str, ...] = ENGINES) -> None:
    command.add_argument(
        "--size", type=int, metavar="PIXELS", help="side that a folder's images are scaled to"
    )
    _how(command, engines)


def _how(command: argparse.ArgumentParser, engines: tuple[str, ...] = ENGINES) -> None:
    command.add_argument(
        "--jobs", type=int, default=-1, metavar="N", help="processes (default: one per core)"
    )
    command.add_argument(
        "--engine",
        choices=engines,
        default="local",
        help="ray: the cluster of $RAY_ADDRESS, or one on this machine"
        + ("; batched: many networks in each pass, for a GPU" if "batched" in engines else ""),
    )


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
