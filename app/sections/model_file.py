"""The model file: its format, its contents, its pixel scaling and its accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import words
from app.markup import section_map
from app.markup.page import facts
from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.results.case import Case


def show(case: Case) -> None:
    if not section_map.opened("Model file"):
        return
    model, file = case.report.model, case.file
    found = model["preprocessing"]
    normalisation = str(found.get("normalisation", ""))
    scaling = NORMALISATIONS[normalisation].says if normalisation in NORMALISATIONS else normalisation
    shape, accuracy = model.get("input_shape"), model["clean_accuracy"]
    st.html(
        facts(
            [
                ("File", model["file"]),
                ("Format", model["format"]),
                ("Architecture", model["architecture"]),
                ("Weights", f"{int(model['parameters']):,}"),
                ("Classes", int(model["classes"])),
                ("Input", " × ".join(map(str, shape)) if isinstance(shape, list) else ""),
                ("Pixels scaled to", scaling),
                ("Clean accuracy", f"{accuracy:.1%}" if accuracy is not None else "not known without labels"),
                ("Size", words.size(file["size"]) if isinstance(file.get("size"), int) else ""),
            ]
        )
    )
    st.caption("SHA-256 of the file")
    st.code(model["sha256"], language=None)
    _beside_the_weights(model)
    tensors = file.get("tensors")
    if isinstance(tensors, list) and tensors:
        total = file.get("tensors_total", len(tensors))
        with st.expander(f"Layers and tensors ({total})"):
            st.dataframe(
                [
                    {
                        "Tensor": words.plain(t.get("name", ""), 120),
                        "Shape": words.plain(" × ".join(map(str, t.get("shape", []))) or "single number", 60),
                        "Type": words.plain(t.get("dtype", ""), 20),
                    }
                    for t in tensors
                    if isinstance(t, dict)
                ],
                hide_index=True,
                width="stretch",
                alt="Tensors of the model file",
            )
    tried = found.get("tried")
    if isinstance(tried, dict) and tried:
        merit = "Clean accuracy" if accuracy is not None else "What its answers tell of the images"
        with st.expander("Preprocessing that was tried"):
            st.table(
                [
                    {"Pixels scaled to": words.safe(name, 60), merit: f"{value:.1%}"}
                    for name, value in tried.items()
                    if isinstance(value, (int, float))
                ]
            )


def _beside_the_weights(model: Mapping[str, Any]) -> None:
    """What opening the file did beyond reading it, and the notes that stand in it."""
    for remark in model.get("remarks", ()):
        st.markdown(f"- {words.safe(remark, 600)}")
    if notes := model.get("notes"):
        with st.expander(f"Notes in the file ({len(notes)})"):
            st.dataframe(
                [{"Name": words.plain(k, 100), "Text": words.plain(v, 600)} for k, v in notes.items()],
                hide_index=True,
                width="stretch",
                alt="Notes that the file holds beside the weights",
            )
