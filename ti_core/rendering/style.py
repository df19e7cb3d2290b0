"""How the report looks, on a screen and on paper, and what a browser may do with it."""

from __future__ import annotations

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page's own content security policy: no script, no request."""
SYMBOLS = {"clean": "✓", "backdoored": "✗", "inconclusive": "?"}
STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5a6775; --line: #d6dde4; --card: #f6f8fa; --page: #fff;
  --clean: #0b6b78; --backdoored: #b03a12; --inconclusive: #7a5b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #a3b0bd; --line: #33404d; --card: #1a232c;
  --page: #11181f; --clean: #5fc9d6; --backdoored: #ff9d7a; --inconclusive: #e8c547; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 56rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem;
  border-bottom: 1px solid var(--line); }
.verdict { border-left: .4rem solid; padding: .75rem 1rem; background: var(--card); font-size: 1.15rem;
  overflow-wrap: anywhere; }
.clean { border-color: var(--clean); } .backdoored { border-color: var(--backdoored); }
.inconclusive { border-color: var(--inconclusive); } li { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td, th { text-align: left; vertical-align: top;
  padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; width: 14rem; } td:only-child { width: auto; }
.rates th, .rates td { width: auto; } .digests td { font: .8rem/1.6 ui-monospace, monospace; }
img { max-width: 100%; height: auto; image-rendering: pixelated; } img.drawing { image-rendering: auto; }
figcaption, footer, .note { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } code, pre { overflow-wrap: anywhere; white-space: pre-wrap; font-size: .85rem; }
.signature { display: flex; gap: 2rem; margin: 3rem 0 1rem; }
.signature div { flex: 1; border-top: 1px solid var(--ink); padding-top: .25rem; color: var(--soft);
  font-size: .85rem; }
@page { margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages);
  font: 9pt system-ui, sans-serif; color: #444; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --card: #f4f4f4; --page: #fff;
  --clean: #0b6b78; --backdoored: #b03a12; --inconclusive: #7a5b00; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10.5pt; } h1 { font-size: 15pt; margin-top: 0; }
  h2 { break-after: avoid; margin-top: 1.2rem; } figure { margin: .6rem 0; }
  figure, tr, li, .verdict, .whole { break-inside: avoid; } img { max-height: 165mm; }
  section[title="Class by class"] img { max-height: 42mm; }
  section[title="Activation maximisation"] img, section[title="Histograms of saliency"] img { max-height: 96mm; }
  table { font-size: 9pt; } td, th { padding: .12rem .75rem .12rem 0; } .digests td { font-size: 7.5pt; }
  .columns { columns: 2; column-gap: 2rem; } .columns th { width: 9rem; } .json { display: none; } }
"""
