.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

# --- the virtual environment: made once, made anew when the lock changes ---
.venv/ready: .locks/dev.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try make PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .locks/dev.txt
	@touch $@

.PHONY: help
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: lock
lock: .venv/ready ## renew the locks from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		pyproject.toml -o .locks/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/runtime.txt --group dev pyproject.toml -o .locks/dev.txt
	echo checkov | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		- -o .locks/checkov.txt

.PHONY: test
test: .venv/ready ## everything that is proven in under three minutes
	$(BIN)/python -m pytest -q -m 'not slow'

.PHONY: test-all
test-all: .venv/ready ## the tests that take longer as well
	$(BIN)/python -m pytest -q

.PHONY: run-local
run-local: .venv/ready ## the whole system on loopback and the real job; FAULT=news shows what a failing engine does
	@$(BIN)/python -m tests.tools.run_local $(FAULT)

.PHONY: bench
bench: .venv/ready ## what a call costs, beside the script that the job replaces; QUICK=1 takes half a minute
	$(BIN)/python -m tests.tools.bench $(if $(QUICK),--quick)

.PHONY: picture
picture: .venv/ready ## the README's picture of a run's page, made anew
	@$(BIN)/python -m tests.tools.picture

# ASYNC127 wants httpx replaced by a successor, but httpx is what this project is bound to. That every coroutine has a
# checkpoint (ASYNC91x) matters where a run must stop at once: in the job.
ASYNC := $(BIN)/flake8-async --enable=ASYNC --startable-in-context-manager=on_signals
.PHONY: lint
lint: .venv/ready ## style, types, async hazards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(ASYNC) --disable=ASYNC127 $$(git ls-files 'job/*.py')
	$(ASYNC) --disable=ASYNC127,ASYNC910,ASYNC911,ASYNC912,ASYNC913 $$(git ls-files 'tests/*.py' 'terraform/*.py')
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

.PHONY: format
format: .venv/ready ## what lint would ask for, where a tool can do it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- Google Cloud: the image is the one that is deployed, unless IMAGE names another; before there is one, BOOTSTRAP=1 ---
# Where there is no output yet, Terraform says so on stdout.
IMAGE ?= $(shell terraform -chdir=terraform output -raw image 2>/dev/null | grep -x '[^ ]*@sha256:[0-9a-f]*')
PLAN ?= terraform/planned.tfplan
PLAN_VARIABLES = $(if $(BOOTSTRAP),-var=bootstrap=true) $(IMAGE:%='-var=image=%')

.PHONY: init
init: ## connect to the state in its bucket, and fetch the provider
	terraform -chdir=terraform init -backend-config=backend.hcl

# Faults in terraform/config/ stop whatever needs this, but in a rollback (CONFIG_FAULTS=warn), and where operators own
# the config: there the bucket's objects count. Before the first apply the owner is not known, and a fault stops.
CONFIG_OWNERSHIP ?= $$(terraform -chdir=terraform output -raw config_ownership 2>/dev/null)
.PHONY: config-check
config-check: .venv/ready ## look for faults in terraform/config/, as the job would
	@$(BIN)/python -m job plan terraform/config >/dev/null || \
	if [ '$(CONFIG_FAULTS)' = warn ] || [ "$(CONFIG_OWNERSHIP)" = operators ]; then \
		echo 'Warning: terraform/config/ has not passed this check. Going on all the same.' >&2; \
	else \
		echo 'Stopped: terraform/config/ has not passed this check.' >&2; exit 2; \
	fi

.PHONY: plan
plan: config-check ## show what an apply would change
	terraform -chdir=terraform plan $(PLAN_VARIABLES) -out='$(abspath $(PLAN))'

.PHONY: apply
apply: plan ## change it, after a look at the plan: make apply [IMAGE=…@sha256:…] [APPROVE=1]
	@$(MAKE) --no-print-directory config-guard
	@[ '$(APPROVE)' ] || { read -r -p 'Apply this plan? Only yes is a yes: ' answer && [ "$$answer" = yes ]; }
	terraform -chdir=terraform apply '$(abspath $(PLAN))'

.PHONY: rollback
rollback: ## go back to another image: make rollback IMAGE=…@sha256:… (without IMAGE: which there are)
ifeq ($(origin IMAGE),command line)
	@$(MAKE) --no-print-directory apply CONFIG_FAULTS=warn
else
	gcloud artifacts docker tags list "$$(terraform -chdir=terraform output -raw image_name)" --filter='tag~deployed-'
endif

.PHONY: execute
execute: ## start the job now: make execute [ARGS=resume,RUN_ID]
	$$(terraform -chdir=terraform output -raw execute_command) $(if $(ARGS),--args='$(ARGS)')

.PHONY: logs
logs: ## follow the job's log
	$$(terraform -chdir=terraform output -raw logs_command)

# --- Google's rules of checkov, which brings a hundred dependencies and so has an environment of its own ---
.checkov/ready: .locks/checkov.txt
	$(PYTHON) -m venv --clear .checkov
	.checkov/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .locks/checkov.txt
	@touch $@

.PHONY: check-terraform
check-terraform: .checkov/ready ## Google's security rules over terraform/; exceptions stand in place, with their reasons
	.checkov/bin/checkov --directory terraform --framework terraform --skip-path tests --skip-download --compact --quiet

# --- the image: Cloud Build makes it at every merge; by hand only the very first, and what a person wants to try ---
IMAGE_NAME ?= $(shell terraform -chdir=terraform output -raw image_name)
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' job/__init__.py)
COMMIT = $(shell git describe --always --dirty --abbrev=40 --exclude='*')

.PHONY: image
image: ## build the image
	docker build --platform linux/amd64 --tag $(IMAGE_NAME):deployed-$(COMMIT) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) .

.PHONY: push
push: image ## push the image, and say by which digest to apply it
	docker push $(IMAGE_NAME):deployed-$(COMMIT)
	@docker inspect --format 'make apply IMAGE={{index .RepoDigests 0}}' $(IMAGE_NAME):deployed-$(COMMIT)

# --- the config: that of the repository, and that in the bucket ---
CONFIG_URI ?= $(shell terraform -chdir=terraform output -raw config_uri)

.PHONY: config-pull
config-pull: .venv/ready ## bring the bucket's config into the repository
	$(BIN)/python -m terraform.config_objects pull '$(CONFIG_URI)'

.PHONY: config-diff
config-diff: .venv/ready ## show what an apply would overwrite in the bucket
	$(BIN)/python -m terraform.config_objects diff '$(CONFIG_URI)'

.PHONY: config-guard
config-guard: .venv/ready
	terraform -chdir=terraform show -json '$(abspath $(PLAN))' | OVERWRITE=$(OVERWRITE) $(BIN)/python -m terraform.config_objects guard
