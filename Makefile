# One folder holds everything that is installed: .venv. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin

# Chains and BLAS threads fight for the same cores.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help install demo test slow newcomer calibration bench bench-accuracy bench-pair figure4 \
	bench-pools bench-million accuracy tables lint notebooks check-notebooks \
	pictures docs newest clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile
	@echo "PYTHON=... names the interpreter that .venv is made with; else one is looked for."

install: ## make .venv and install the package and its tools into it
	@sh .ci/venv $(VENV)
	@$(MAKE) --no-print-directory $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo 'installing into $(VENV): a few minutes the first time'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

demo: install ## fit, predict, propose and report on the data shipped, into out/demo
	$(BIN)/claude-pymc demo --out out/demo --overwrite

test: install ## run the tests
	$(BIN)/python -m pytest -m "not speed and not slow and not notebooks" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m speed

slow: install ## statistical tests: calibration of six models, the studies of models/ (minutes)
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --durations 0

newcomer: install ## an empty folder, a table of one's own with a wrong cell, fit, report, proposal
	sh tests/test_newcomer.sh $(CURDIR)/$(BIN)/claude-pymc

calibration: install ## simulation-based calibration with 300 data sets each (an hour), into out/
	$(BIN)/python tests/calibrate_all.py 300

bench: install ## speed beside plain PyMC, nutpie and NumPyro (minutes), into out/bench.csv
	$(BIN)/python tests/benchmarks/bench.py

bench-accuracy: install ## three data sets, three tasks, beside nine peers (minutes), into out/accuracy.csv
	$(BIN)/python tests/benchmarks/accuracy.py $(ARGS)

bench-pair: install ## fifty cheap and two dear points (five minutes), into out/gp_pair.csv
	$(BIN)/python tests/benchmarks/gp_pair.py

figure4: install ## figure 4 of the paper, 200 repeats (ten minutes), into out/figure4
	$(BIN)/python tests/benchmarks/benchmark_figure4.py

bench-pools: install ## closed loops on real tables beside two peers (ten minutes), into out/pools.csv
	$(BIN)/python tests/benchmarks/pools.py $(ARGS)

bench-million: install ## four million candidates: scores beside the bare product (a minute)
	$(BIN)/python tests/benchmarks/candidates.py

accuracy: install ## elements: this package beside three peers, into out/elements.csv
	$(BIN)/python tests/elements_accuracy.py

tables: install ## take up what the benchmarks left in out/, write the tables of README and pages
	$(BIN)/python tests/benchmarks/tables.py --record

lint: install ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy claude_pymc

notebooks: install ## run the notebooks anew, in place, and write the student version
	$(BIN)/python notebooks/pages/run.py
	$(BIN)/python notebooks/pages/student.py

check-notebooks: install ## run the notebooks from cold caches, without changing a file (minutes)
	$(BIN)/python -m pytest -v -m notebooks -n 2 --dist load --durations 0

pictures: install ## the picture at the head of the README
	$(BIN)/python notebooks/pages/problem.py

docs: install ## course, reference and pages, into out/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going -E -c notebooks/pages notebooks out/docs
	@echo 'out/docs/index.html'

newest: ## the fast tests against the newest dependencies, in .venv-newest
	sh .ci/newest

clean: ## remove caches, builds and the output of the demo
	rm -rf build dist out/demo out/docs .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV) $(VENV)-newest
