# make app: environment, then serve on http://127.0.0.1:7860 · make test: environment, then all checks and tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: app test check unit browser spaces pictures benchmark map-speed first-paint soak fuzz audit clean

app: $(STAMP)
	$(BIN)/python app.py

test: check unit browser

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile

# One thread in each process, or they wait for each other.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not browser" --numprocesses 2 --dist loadfile

# Each of the two has an app and a browser of its own.
browser: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser --numprocesses 2 --dist loadfile

spaces: $(STAMP)
	$(BIN)/python -m pytest -m spaces

pictures: $(STAMP)
	$(BIN)/python -m tests.tools.pictures

benchmark: $(STAMP)
	$(BIN)/python -m ecenet benchmark --weights everyday

map-speed: $(STAMP)
	$(BIN)/python -m tests.tools.map_speed

first-paint: $(STAMP)
	$(BIN)/python -m tests.tools.first_paint

# Fifty clients for five minutes, then four more until what they left has gone.
soak: $(STAMP)
	$(BIN)/python -m tests.tools.soak

# More properties, mutated files and bombs than the unit tests take; ten minutes.
fuzz: $(STAMP)
	EXAMPLES=1000 $(BIN)/python -m pytest -q tests/data/pictures/test_image_properties.py
	$(BIN)/python -m tests.tools.fuzz

# Known vulnerabilities in what is installed; it asks PyPI, so it has no place among the tests.
audit: $(STAMP)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --upgrade pip-audit
	$(VENV)/audit/bin/pip-audit --strict --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# Made anew only when what is required has changed. A pair of torch and torchvision that do not fit breaks timm's
# import, so it is tried here, where the message can still be understood.
$(STAMP): requirements.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -c "import torch, torchvision, timm" || \
		{ echo "torch and torchvision do not fit each other: remove $(VENV) and run make again"; exit 1; }
	touch $@

clean:
	rm -rf $(VENV) artifacts
