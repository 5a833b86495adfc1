"""Settings of Sphinx for `make docs`: the course in `notebooks/` and the pages beside this file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from claude_pymc import __version__

sys.path.insert(0, str(Path(__file__).resolve().parent))  # extensions beside this
logging.getLogger("pytensor").setLevel(logging.WARNING)

project = "claude_pymc"
author = "the claude_pymc contributors"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "mathml",
    "pictures",
]
root_doc = "index"
exclude_patterns = ["**/.ipynb_checkpoints"]
suppress_warnings = ["myst.strikethrough"]

# Notebooks are committed executed; tests run them again.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings say types, shapes and units
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_param = False  # words of types, such as "descriptors", are no references
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "furo"
html_title = f"claude_pymc {release}"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8c", "color-brand-content": "#005a8c"},
}
copybutton_prompt_text = ">>> "
