"""The model file: its format, its contents, its pixel scaling and its accuracy."""

from __future__ import annotations

import streamlit as st

from app import words
from app.markup.page import facts
from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.results.case import Case


def show(case: Case) -> None:
    st.subheader("Model file")
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
