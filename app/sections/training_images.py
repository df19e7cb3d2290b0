"""What was found in training data: a sentence, a table of the classes, and the images that stand out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import words
from app.charts import pictures
from app.markup.page import Picture, strip
from ti_core.methods.training_data.record import Found, class_sentence

COLUMNS, WIDEST = 8, 96


def show(found: Found) -> None:
    """Suspicious classes open, the others folded away."""
    record = found.record
    box, icon = (st.error, ":material/warning:") if found.suspicious else (st.success, ":material/check:")
    box(words.safe(found.sentence(), 900), icon=icon)
    drawn = f" of {record['of']:,}" if record["of"] > record["count"] else ""
    st.caption(
        words.safe(
            f"{record['model']} on {record['images']}: {record['count']:,}{drawn} images, {record['width']:,} hidden"
            f" units. {record['accuracy']:.1%} of the images that were tried get the label that they have.",
            600,
        )
    )
    _table(record)
    for one in record["classes"]:
        if one["suspicious"]:
            st.header(f"Class {words.safe(one['name'], 60)}")
            _class(found, one)
    st.header("Images that stand out in the other classes")
    st.caption(
        "Spectral Signatures names as many images of a clean class as of a poisoned one. Here stand rare and odd"
        " images of their own class, unless the table says otherwise."
    )
    for one in record["classes"]:
        if not one["suspicious"] and one["images"]:
            with st.expander(f"Class {words.safe(one['name'], 60)}"):
                _class(found, one)


def _table(record: Mapping[str, Any]) -> None:
    rows = [
        {
            "Class": words.plain(one["name"], 60),
            "Images": one["count"],
            "Activation Clustering": _decision(one),
            "Silhouette": one["silhouette"],
            "Smaller cluster": None if one["share"] is None else f"{one['share']:.0%}",
            "In the cluster": one["clustered"],
            "Spectral Signatures": one["removed"],
            "Both": one["both"],
        }
        for one in record["classes"]
    ]
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        column_config={"Silhouette": st.column_config.NumberColumn(format="%.2f")},
        alt="What each method found in each class",
    )


def _decision(one: Mapping[str, Any]) -> str:
    return "poison" if one["suspicious"] else "no poison found" if one["examined"] else "too few images"


def _class(found: Found, one: Mapping[str, Any]) -> None:
    """The sentences of a class, and its images: first what both methods name."""
    st.markdown(words.safe(class_sentence(one), 900))
    shown = [
        Picture(
            pictures.uri(pictures.photo(found.pictures[image["picture"]] / 255)),
            f"Training image {words.plain(image['place'], 60)}",
            f"{words.plain(image['place'], 24)}: {_named(image)}",
        )
        for image in one["images"]
        if image["picture"] is not None
    ]
    st.html(strip(shown, columns=COLUMNS, widest=WIDEST))
    named = [words.plain(image["place"], 200) for image in one["images"] if image["clustered"]]
    if named:
        with st.expander(f"Names of the images in the cluster ({len(named)} of {one['clustered']})"):
            st.code("\n".join(named), language=None)


def _named(image: Mapping[str, Any]) -> str:
    if image["clustered"] and image["removed"]:
        return "both"
    return "cluster" if image["clustered"] else "spectral"
