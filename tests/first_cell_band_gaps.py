# %matplotlib inline
import pandas as pd  # noqa: F401

import claude_pymc as cp

frame = cp.load_dataset("binary_bandgap")  # yours: pd.read_csv("mine.csv")
title = "Band gaps of binary compounds"
labels = "formula"  # column with names of the rows, or None
descriptors = ["mean_X", "std_X", "mean_Z", "mean_mass", "mean_row", "mean_group"]
categories = []  # those of the descriptors that hold text
targets = ["y_sim", "y_exp"]  # the cheapest first
units = {"y_sim": "eV", "y_exp": "eV", "mean_mass": "u"}
transforms = {}  # modelled as they are
quantities = {}  # targets of another quantity than the last one
basis = cp.Polynomial(degree=2)
corrections = {"y_exp": ["1", "linear"]}
noise = "normal"  # of the primary target; or "student"
expected = {"y_exp": (0.0, 10.0)}  # before the rows: 95 %
objective = cp.Reach("y_exp", 1.34)  # or cp.Maximize, cp.Minimize
wants = {"y_exp": 3}  # how many proposals of which target
rules = None  # None: improvement; {"y_exp": "std"}: where least is known
