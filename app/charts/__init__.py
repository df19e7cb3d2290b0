"""Charts for the page, drawn with Plotly from plain data; pictures made of arrays."""
