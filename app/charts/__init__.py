"""Charts for the page, drawn with Plotly from plain data, and pictures made from arrays."""
