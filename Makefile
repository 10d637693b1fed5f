.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# What a shell has in these, and pip.conf says of the user's own packages, is meant for other projects.
unexport $(filter-out PYTHON,$(filter PYTHON% PIP_CONSTRAINT PIP_PREFIX PIP_REQUIREMENT PIP_ROOT PIP_TARGET,$(.VARIABLES)))
export PIP_USER := 0

# --- the virtual environments: each is made once, and again when its lock changes or its Python is gone ---
gone = $(if $(wildcard $(1)),$(shell $(2)/python -Ic 'import pip' 2>/dev/null || echo gone))
.venv/ready: .locks/dev.txt $(call gone,.venv/ready,$(BIN))
.terraform-tests/ready: .locks/terraform.txt $(call gone,.terraform-tests/ready,.terraform-tests/bin)
.PHONY: gone
.venv/ready .terraform-tests/ready:
	@sh .locks/install.sh '$(PYTHON)' $(@D) $<
	@touch $@

.PHONY: help
help:
	@awk -F ':.*## ' '/^## / { print substr($$0, 4) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## For everybody

.PHONY: run-local
run-local: .venv/ready ## play a whole night on this machine, with simulated engines, [FAULT=news] [ARGS='run --again NVDA'] [NOTIFY=1], or NIGHTS=5; [REPORT_LANGUAGE=zh]
	@$(BIN)/python -m tests.tools.run_local $(if $(FAULT),'$(FAULT)') $(if $(value ARGS),--args='$(subst ','\'',$(value ARGS))') $(if $(NIGHTS),--nights='$(NIGHTS)') $(if $(NOTIFY),--notify)

# On every processor. A file's fast tests stay together, since they share what they set up.
.PHONY: test
test: .venv/ready ## run the fast tests, in a minute on two processors
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m 'not slow'

TERRAFORM ?= terraform
IN_ROOT = $(TERRAFORM) -chdir=terraform
setting = $(shell sed -n 's/^$(1) *= *"\([^"]*\)".*/\1/p' terraform/terraform.tfvars 2>/dev/null)
# In Terraform's own order: the file, then the environment.
STATE_BUCKET ?= $(or $(call setting,project_id),$(TF_VAR_project_id))-terraform
STATE_PREFIX ?= $(or $(call setting,name),$(TF_VAR_name),batch-orchestrator)

.PHONY: config-check
config-check: .venv/ready ## look for faults in terraform/config/, as the job would
	$(BIN)/python -m job plan terraform/config

.PHONY: installed
installed:
	@command -v $(TERRAFORM) >/dev/null || { echo 'There is no $(TERRAFORM) here: install Terraform, or name another with TERRAFORM=…' >&2; exit 2; }

# If the two differ, the state of one project would describe the other.
one_of = if [ '$(call setting,$(1))' ] && [ '$(TF_VAR_$(1))' ] && [ '$(call setting,$(1))' != '$(TF_VAR_$(1))' ]; then \
	echo 'terraform/terraform.tfvars says $(1) = "$(call setting,$(1))", but the environment says TF_VAR_$(1)=$(TF_VAR_$(1)): remove one of the two.' >&2; exit 2; fi
.PHONY: agreed
agreed: installed
	@$(call one_of,project_id)
	@$(call one_of,name)

.PHONY: init
init: agreed ## connect Terraform to its state, and fetch the provider: [STATE_BUCKET=…] [STATE_PREFIX=…]
	@[ '$(STATE_BUCKET)' != -terraform ] || { echo 'Neither terraform/terraform.tfvars nor TF_VAR_project_id names a project: make the file from terraform.tfvars.example first.' >&2; exit 2; }
	$(IN_ROOT) init -backend-config='bucket=$(STATE_BUCKET)' -backend-config='prefix=$(STATE_PREFIX)'

# `init` makes it. Without it, Terraform would speak of backends.
CONNECTED := terraform/.terraform/terraform.tfstate
$(CONNECTED): | installed
	@echo 'Terraform is not connected to its state here: run make init first.' >&2; exit 2
plan apply deploy execute logs: agreed $(CONNECTED)

.PHONY: plan
plan: ## show what an apply would change
	$(IN_ROOT) plan

.PHONY: apply
apply: ## change it, after showing it and asking
	$(IN_ROOT) apply
	@TERRAFORM='$(TERRAFORM)' bash terraform/deploy.sh set-new

.PHONY: execute
execute: ## start the job now and wait for its end: [ARGS=run,--date=2026-11-23]
	$$($(IN_ROOT) output -raw execute_command) $(if $(ARGS),--args='$(ARGS)')

.PHONY: logs
logs: ## follow the job's log
	$$($(IN_ROOT) output -raw logs_command)

.PHONY: deploy
deploy: ## build and push the image, with Docker or in Cloud Build, and set it in the jobs; IMAGE=sha256:… goes back to that one
	@TERRAFORM='$(TERRAFORM)' bash terraform/deploy.sh deploy '$(IMAGE)'

## For those who change the code

# ASYNC127 recommends another library than httpx, which this project has to use. A checkpoint in every coroutine (ASYNC91x)
# would be noise: the tests of shutdown and cancellation hold that a run stops at once.
ASYNC := $(BIN)/flake8-async --enable=ASYNC --startable-in-context-manager=on_signals --disable=ASYNC127,ASYNC910,ASYNC912,ASYNC913
.PHONY: lint
lint: .venv/ready ## check style, types, async hazards, who imports whom, and terraform/ if a Terraform is installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git grep --files-with-matches --extended-regexp 'async|trio' -- 'job/*.py' 'tests/*.py' | xargs -P 4 -n 20 $(ASYNC)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck .ci/run .locks/install.sh terraform/deploy.sh
	@if command -v $(TERRAFORM) >/dev/null; then set -ex; \
		$(IN_ROOT) fmt -check -diff -recursive; [ ! -d terraform/.terraform/providers ] || $(IN_ROOT) validate; fi

.PHONY: format
format: .venv/ready ## fix style and format, as far as a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Whoever is free takes half of what another has left.
.PHONY: test-slow
test-slow: .venv/ready ## run the slow tests, in five minutes on two processors
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m slow

.PHONY: test-all
test-all: test test-slow ## run all tests

.PHONY: emulator
emulator: ## install the storage emulator that some tests need (needs Go): its place is `go env GOPATH`/bin, or GOBIN
	@command -v go >/dev/null || { echo 'There is no Go here: install it from https://go.dev/dl first.' >&2; exit 2; }
	go install github.com/fsouza/fake-gcs-server@v1.56.1

.PHONY: messages
messages: .venv/ready ## collect the sentences for people into job/text/locale/, and compile their translations
	@$(BIN)/python -m tests.tools.messages

.PHONY: picture
picture: .venv/ready ## make the READMEs' pictures of both pages again (needs Chromium)
	@$(BIN)/python -m tests.tools.picture

.PHONY: lock
lock: .venv/ready ## update the pinned dependencies in .locks/ from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		pyproject.toml -o .locks/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/runtime.txt --group dev pyproject.toml -o .locks/dev.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/dev.txt - -o .locks/uv.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/runtime.txt --group terraform -o .locks/terraform.txt
