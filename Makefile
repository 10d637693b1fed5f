.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

# make ignores unknown variables: run-local would not fail at fault=news, and apply would not deploy image=…. So a variable
# that differs from one of these only in case, dashes or a plural is refused. Other ones are allowed: a caller may set them.
VARIABLES := APPROVE ARGS BOOTSTRAP CONFIG_FAULTS CONFIG_OWNERSHIP CONFIG_URI DETAILS FAULT IMAGE IMAGE_NAME LIMITS NIGHTS OVERWRITE PLAN PYTHON QUICK REPORT_LANGUAGE RUN_TIME_ZONE TERRAFORM TF_WORKSPACE
UNKNOWN := $(filter-out $(VARIABLES),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
plain = $(shell echo '$(1)' | tr '[:lower:]' '[:upper:]' | sed 's/[-_]//g; s/S$$//')
$(foreach name,$(UNKNOWN),$(foreach known,$(VARIABLES),$(if $(filter $(call plain,$(name)),$(call plain,$(known))),\
	$(error $(name) is not a variable of this Makefile, but $(known) is))))

# --- the virtual environment: made once, and again when the lock changes ---
.venv/ready: .locks/dev.txt
	@$(PYTHON) tests/tools/environment.py .venv .locks/dev.txt
	@touch $@

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: lock
lock: .venv/ready ## update the pinned dependencies in .locks/ from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		pyproject.toml -o .locks/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/runtime.txt --group dev pyproject.toml -o .locks/dev.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		-c .locks/dev.txt - -o .locks/uv.txt
	echo checkov | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --custom-compile-command 'make lock' \
		- -o .locks/checkov.txt

# On every processor. A file's fast tests stay together, since they share what they set up; of the slow ones, whoever is
# free takes half of what another has left.
.PHONY: test
test: .venv/ready ## run the fast tests, in a minute and a half on two processors
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m 'not slow'

.PHONY: test-slow
test-slow: .venv/ready ## run the slow tests, in a quarter of an hour
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m slow

.PHONY: test-all
test-all: test test-slow ## run all tests

.PHONY: emulator
emulator: ## install the storage emulator that some tests need (needs Go): its place is `go env GOPATH`/bin, or GOBIN
	go install github.com/fsouza/fake-gcs-server@v1.56.1

.PHONY: run-local
run-local: .venv/ready ## play a whole night on this machine, with simulated engines: [FAULT=news] [NIGHTS=5] [ARGS='run --again NVDA'] [REPORT_LANGUAGE=zh] [DETAILS=1]
	@$(BIN)/python -m tests.tools.run_local $(if $(FAULT),'$(FAULT)') $(if $(value ARGS),--args='$(subst ','\'',$(value ARGS))') $(if $(NIGHTS),--nights='$(NIGHTS)') $(if $(DETAILS),--details)

.PHONY: bench
bench: .venv/ready ## measure what a call costs, beside the script used before: [QUICK=1] [LIMITS=1]
	$(BIN)/python -m tests.tools.bench $(if $(QUICK),--quick) $(if $(LIMITS),--limits)

.PHONY: messages
messages: .venv/ready ## collect the sentences for people into job/text/locale/, and compile their translations
	@$(BIN)/python -m tests.tools.messages

.PHONY: picture
picture: .venv/ready ## make the READMEs' pictures of both pages again (needs Chromium)
	@$(BIN)/python -m tests.tools.picture

# ASYNC127 recommends another library than httpx, which this project has to use. A checkpoint in every coroutine (ASYNC91x)
# would be noise: the tests of shutdown and cancellation hold that a run stops at once.
ASYNC := $(BIN)/flake8-async --enable=ASYNC --startable-in-context-manager=on_signals --disable=ASYNC127,ASYNC910,ASYNC911,ASYNC912,ASYNC913
.PHONY: lint
lint: .venv/ready ## check style, types, async hazards and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(ASYNC) $$(git ls-files 'job/*.py' 'tests/*.py' 'terraform/*.py')
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/hadolint Dockerfile

.PHONY: format
format: .venv/ready ## fix style and format, as far as a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- Google Cloud: the image is the one that is deployed, unless IMAGE names another; before there is one, BOOTSTRAP=1 ---
# A workspace is another environment; its settings are in the file of its name.
TERRAFORM ?= terraform
IN_ROOT = $(if $(TF_WORKSPACE),TF_WORKSPACE='$(TF_WORKSPACE)') $(TERRAFORM) -chdir=terraform

# If there is no output yet, Terraform says so on stdout, hence the grep.
IMAGE ?= $(shell $(IN_ROOT) output -raw image 2>/dev/null | grep -x '[^ ]*@sha256:[0-9a-f]*')
PLAN ?= terraform/planned.tfplan
PLAN_VARIABLES = $(if $(filter-out default,$(TF_WORKSPACE)),-var-file='$(TF_WORKSPACE).tfvars') $(if $(BOOTSTRAP),-var=bootstrap=true) $(IMAGE:%='-var=image=%')

.PHONY: init
init: ## connect Terraform to its state, and fetch the provider
	$(IN_ROOT) init -backend-config=backend.hcl

# Say in one line what has to be done first, instead of a page of Terraform's errors.
.PHONY: initialised applied
initialised:
	@cd terraform && [ -d "$${TF_DATA_DIR:-.terraform}" ] || { echo 'Stopped: run `make init` first.' >&2; exit 2; }

applied: initialised
	@outputs=$$($(IN_ROOT) output -json) || exit 2; [ "$$outputs" != '{}' ] || \
	{ echo 'Stopped: Terraform has no outputs yet; run `make apply` first.' >&2; exit 2; }

# A fault in terraform/config/ stops make, with two exceptions: a rollback must not fail (CONFIG_FAULTS=warn), and if
# operators own the config, these files are not used. Before the first apply the owner is not known, so a fault stops make.
CONFIG_OWNERSHIP ?= $$($(IN_ROOT) output -raw config_ownership 2>/dev/null)
.PHONY: config-check
config-check: .venv/ready ## look for faults in terraform/config/, as the job would
	@$(BIN)/python -m job plan terraform/config >/dev/null || \
	if [ '$(CONFIG_FAULTS)' = warn ] || [ "$(CONFIG_OWNERSHIP)" = operators ]; then \
		echo 'Warning: terraform/config/ has not passed this check. Going on all the same.' >&2; \
	else \
		echo 'Stopped: terraform/config/ has not passed this check.' >&2; exit 2; \
	fi

.PHONY: plan
plan: initialised config-check ## show what an apply would change
	$(IN_ROOT) plan $(PLAN_VARIABLES) -out='$(abspath $(PLAN))'

.PHONY: apply
apply: plan ## change it, after showing it and asking: make apply [IMAGE=…@sha256:…] [APPROVE=1]
	@$(MAKE) --no-print-directory config-guard
	@[ '$(APPROVE)' ] || { read -r -p 'Apply this plan? Only yes is a yes: ' answer && [ "$$answer" = yes ]; }
	$(IN_ROOT) apply '$(abspath $(PLAN))'

.PHONY: rollback
rollback: applied ## deploy an earlier image: make rollback IMAGE=…@sha256:… (without IMAGE: list them)
ifeq ($(origin IMAGE),command line)
	@$(MAKE) --no-print-directory apply CONFIG_FAULTS=warn
else
	gcloud artifacts docker tags list "$$($(IN_ROOT) output -raw image_name)" --filter='tag~deployed-'
endif

.PHONY: execute
execute: applied ## start the job now and wait for its end: make execute [ARGS=resume,RUN_ID]
	$$($(IN_ROOT) output -raw execute_command) $(if $(ARGS),--args='$(ARGS)')

.PHONY: logs
logs: applied ## follow the job's log
	$$($(IN_ROOT) output -raw logs_command)

# --- Google's security rules: checkov has its own environment, since it has a hundred dependencies ---
.checkov/ready: .locks/checkov.txt
	@$(PYTHON) tests/tools/environment.py .checkov .locks/checkov.txt
	@touch $@

.PHONY: check-terraform
check-terraform: .checkov/ready ## check terraform/ against Google's security rules (checkov)
	.checkov/bin/checkov --directory terraform --framework terraform --skip-path plan_tests --skip-download --compact --quiet

# --- the image: Cloud Build builds it at every merge; build by hand only the first image, or one to try out ---
IMAGE_NAME ?= $(shell $(IN_ROOT) output -raw image_name)
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' job/__init__.py)
COMMIT = $(shell git describe --always --dirty --abbrev=40 --exclude='*')

.PHONY: image
image: $(if $(filter file,$(origin IMAGE_NAME)),applied) ## build the image with Docker
	docker build --platform linux/amd64 --tag $(IMAGE_NAME):deployed-$(COMMIT) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) .

.PHONY: push
push: image ## build and push the image, and print the command that deploys it
	docker push $(IMAGE_NAME):deployed-$(COMMIT)
	@docker inspect --format 'make apply IMAGE={{index .RepoDigests 0}}' $(IMAGE_NAME):deployed-$(COMMIT)

# --- the config, in the repository and in the bucket ---
CONFIG_URI ?= $(shell $(IN_ROOT) output -raw config_uri)

.PHONY: config-pull
config-pull: $(if $(filter file,$(origin CONFIG_URI)),applied) .venv/ready ## copy the bucket's config into terraform/config/
	$(BIN)/python -m terraform.tools.config_objects pull '$(CONFIG_URI)'

.PHONY: config-diff
config-diff: $(if $(filter file,$(origin CONFIG_URI)),applied) .venv/ready ## show what an apply would overwrite in the bucket
	$(BIN)/python -m terraform.tools.config_objects diff '$(CONFIG_URI)'

.PHONY: config-guard
config-guard: .venv/ready
	$(IN_ROOT) show -json '$(abspath $(PLAN))' | OVERWRITE=$(OVERWRITE) $(BIN)/python -m terraform.tools.config_objects guard
