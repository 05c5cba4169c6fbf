# make                               the whole paper at the scale of config.yaml
# make TARGET=results/table6.csv     one artefact and what it needs
# make test                          the tests
# make clean                         remove what the pipeline made, but keep runs and data
PYTHON ?= python3
CORES ?= all
TARGET ?=
BIN := $(CURDIR)/.venv/bin
READY := .venv/.requirements.txt
# So that rules find this environment's programs.
export PATH := $(BIN):$(PATH)

.PHONY: all test clean
.DEFAULT_GOAL := all

all: $(READY)
	snakemake --cores $(CORES) $(TARGET)

test: $(READY)
	pytest

# Made again when the pins change; a failed install leaves no mark, so the next call repeats it.
$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; use make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -r requirements.txt
	cp requirements.txt $(READY)

clean:
	rm -rf logs report.html results/*.csv results/*.md results/*.pdf results/*.png results/*.html
