# What is supported here; `make help` lists it. Everything runs in .venv, which .ci/setup makes.

# Only makes .venv; at least 3.11. The distribution's is built for speed, and kept up to date.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
SECONDS ?= 60
SEED ?= 0
PY := .venv/bin/python
VENV := .venv/.complete
BINARY := dist/lvsd
DISK := build/image/out/lvs-vm.raw

# SHELL=1 asks `run` for a shell, but is also make's name for what runs the lines below.
ifeq ($(origin SHELL),command line)
export LAB_SHELL := $(SHELL)
override SHELL := /bin/sh
endif

# What a shell may set, and what would then hide what a host without it sees.
unexport PYTHONPATH PYTHONHOME PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONOPTIMIZE

.NOTPARALLEL:
.PHONY: help run test check simulate native-test netns-test binary binary-test deb site-test long-test image bench chaos fuzz lock clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*  ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 13

run: $(VENV) $(DISK)  ## the appliance at work: two images boot as a pair in a lab; SHELL=1 opens a shell in it
	PYTHONPATH=tests $(PY) -m lab.demo

test: export LVS_EXAMPLES = 40
test: check simulate binary-test native-test netns-test site-test  ## all but the long tests; what CI runs

check: $(VENV)  ## format, lint, types, house rules and unit tests, in seconds
	@$(PY) .ci/check.py

simulate: SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),1000000)
simulate: $(VENV)  ## search for what breaks a promise of the pair; SECONDS=1000000 simulated, from SEED=0
	$(PY) -m pytest -m search -n auto tests/pulse
	$(PY) tests/pulse/search.py $(SECONDS) $(SEED)

native-test: $(VENV)  ## tests with real programs of this host: git and its hooks, servers to check
	$(PY) -m pytest -m native -n 4 --dist loadfile

netns-test: $(VENV)  ## tests on real IPVS, in namespaces of this host or of guests
	$(PY) -m pytest -m "netns and not long" -n auto --maxprocesses 4 --dist loadfile --durations=20

binary: $(BINARY)  ## dist/lvsd: one file that needs no Python

binary-test: $(VENV) $(BINARY) deb  ## tests of dist/lvsd, and of its package for Debian
	$(PY) -m pytest -m binary tests/binary

deb: $(BINARY)  ## dist/lvs-director_VERSION_ARCHITECTURE.deb: binary, units and documentation for Debian and Ubuntu
	@.ci/deb

site-test: $(VENV) $(DISK)  ## tests of two booted images with the deployment's services
	$(PY) -m pytest -m "image and not long" tests/image

long-test: $(VENV) $(DISK)  ## what is left: first boots, updates and power cuts of the image; an hour under emulation
	$(PY) -m pytest -m long

image: $(BINARY)  ## images to flash or boot into dist/: lvs-VERSION-vm and -metal
	@.ci/image vm
	@.ci/image metal

$(DISK): $(BINARY) .ci/image $(shell find image appliance -type f -o -type l)
	@.ci/image vm raw

bench: $(VENV)  ## measurements beside their reference points; ONLY=name for one
	PYTHONPATH=tests $(PY) -m bench $(ONLY)

chaos: $(VENV)  ## faults at random to a pair of directors, on real IPVS; SECONDS=60 long, SEED=n again
	PYTHONPATH=tests $(PY) -m netns.chaos $(SECONDS) $(SEED)

fuzz: $(VENV)  ## fuzz both readers of the configuration, what checks are answered, what directors say; SECONDS=60 each
	$(PY) tests/fuzz/fuzz_config.py $(SECONDS)
	$(PY) tests/fuzz/fuzz_talks.py $(SECONDS)
	$(PY) tests/fuzz/fuzz_peer.py $(SECONDS)
	$(PY) tests/fuzz/fuzz_beats.py $(SECONDS)

lock: $(VENV)  ## write the lock files anew from pyproject.toml
	@.ci/lock

clean:  ## remove all that was built, .venv too
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): .ci/setup .ci/build.lock .ci/requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup
	@touch $@

BUNDLED := src appliance lvs.toml.example image/lvsd.py image/lvsd.spec image/standin
$(BINARY): $(VENV) .ci/binary $(shell find $(BUNDLED) -type f -not -name '*.pyc' -not -path '*.egg-info/*')
	@.ci/binary
