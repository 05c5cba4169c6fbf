# make                               the whole paper at the scale of config.yaml
# make TARGET=results/table6.csv     one artefact and what it needs
# make plan                          what that would cost: time, GPU-hours, disk, downloads; with TARGET, too
# make TORCH=cpu                     the same with PyTorch's build for CPUs, a fifth of the disk (before the first make)
# make test                          the tests
# make quick                         those that take no time, while editing: without Snakemake and what else is slow
# make detectron2                    the other engine of the detectors, built from its source (minutes)
# make lock                          write constraints.txt after pins have changed: in a new .venv, on Linux, TORCH unset
# make clean                         remove what the pipeline made, but keep runs and data
PYTHON ?= python3
CORES ?= all
TARGET ?=
TORCH ?=
READY := .venv/.requirements.txt
# Not on PyPI. A folder with its source does, too: make detectron2 DETECTRON2=../detectron2
DETECTRON2 ?= git+https://github.com/facebookresearch/detectron2@02b5c4e295e990042a714712c21dc79b731e8833
# So that rules find this environment's programs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Recipes read these from the environment, as their paths may hold spaces and quotes.
export PYTHON DETECTRON2

.PHONY: all plan test quick detectron2 lock clean
.DEFAULT_GOAL := all

# In a terminal, one live view instead of a block of lines per job.
all: $(READY)
	snakemake --cores $(CORES) $(TARGET) $$(test -t 2 && echo --logger rich)

plan: $(READY)
	python scripts/plan.py $(TARGET) --cores $(CORES)

# On all cores; one process has the tests of a file, which share what is slow to make (tests/conftest.py: their order).
PYTEST := pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: $(READY)
	$(PYTEST)

quick: $(READY)
	$(PYTEST) -m 'not slow'

# It is compiled against the torch that is installed, so without isolation; its setup needs pkg_resources.
detectron2: $(READY)
	.venv/bin/pip install --disable-pip-version-check 'setuptools<82' wheel ninja
	.venv/bin/pip install --disable-pip-version-check --no-build-isolation "$$DETECTRON2"
	.venv/bin/python -c 'import detectron2; print("detectron2", detectron2.__version__, "is installed; use it with detector: {engine: detectron2}")'

lock:
	{ head -n 1 constraints.txt; .venv/bin/pip freeze --exclude detectron2 --exclude resnet; } > constraints.new
	mv constraints.new constraints.txt

# Of PyTorch's own index a build for CPUs is preferred, where there is one for this system: its version is the higher one.
INDEX := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))

# Made again when the pins change; a failed install leaves no mark, so the next call repeats it.
$(READY): requirements.txt constraints.txt
	"$$PYTHON" -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; use make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	"$$PYTHON" -m venv .venv
	.venv/bin/pip install --disable-pip-version-check -r requirements.txt -c constraints.txt $(INDEX)
	cp requirements.txt $(READY)

clean:
	rm -rf logs report.html results/*.csv results/*.json results/*.md results/*.pdf results/*.png results/*.html
