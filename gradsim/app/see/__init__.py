"""The pictures: heatmap, curves, time line, profile and what lies inside a layer."""
