# The only entry point that people type: each target is one call of the real thing.
DEVENV := python3 -m devenv
LOCK := $(DEVENV) python -m uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-header

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

# --- the loop

.PHONY: up
up: ## Everything, from a bare machine to the page at localhost:8080; REPLICAS=n of the backend
	@$(DEVENV) up $(if $(REPLICAS),-- --replicas=$(REPLICAS))

.PHONY: status
status: ## What runs
	@$(DEVENV) status

.PHONY: dashboard
dashboard: ## Start the dashboard at localhost:10351 alone, as make up does
	@$(DEVENV) dashboard

.PHONY: logs
logs: ## Follow the logs of everything
	@$(DEVENV) logs

.PHONY: down
down: ## Stop everything; data stay
	@$(DEVENV) down

.PHONY: clean
clean: ## Delete the cluster with its data, after asking
	@$(DEVENV) clean

.PHONY: backup
backup: ## Write the database to a file
	@$(DEVENV) backup

.PHONY: restore
restore: ## Put such a file back in its place; FILE=path
	@$(DEVENV) restore $(or $(FILE),$(error FILE is missing: make restore FILE=path, the path that make backup has printed))

.PHONY: rotate
rotate: ## Give the database and the application new passwords, without a pause
	@$(DEVENV) rotate

# --- the verdict

.PHONY: lint
lint: ## Format, style, types and security of everything
	@$(DEVENV) python tests/lint.py

.PHONY: test
test: ## Without a cluster: what the change against main touches, and every folder's main way; ALL=1 for everything
	@$(DEVENV) test -p tests.selection --numprocesses auto --durations=10 $(if $(ALL),,--changed)

.PHONY: ci
ci: ## Production images in a fresh namespace, rolled out and checked by tilt ci
	@$(DEVENV) ci

.PHONY: test-live
test-live: ## The loop itself: saves reach every replica, nothing is rebuilt
	@$(DEVENV) test tests/live_update

.PHONY: workflow
workflow: ## Every job of .github/workflows/ci.yml, without GitHub; J=name for some; make clean first
	@$(DEVENV) python -m tests.workflow $(J)

.PHONY: test-release
test-release: ## `make up` from released tools and images, on a machine of its own with a stand-in internet; root alone
	@$(DEVENV) test tests/release

.PHONY: test-steady
test-steady: ## Both again and again, on busy cores and in other orders: what fails now and then?
	@$(DEVENV) test-steady $(ROUNDS)

.PHONY: drill
drill: ## Break the running application in every way and count what is lost; D=name for one; make down first
	@$(DEVENV) test tests/drills --capture=no --durations=0 $(if $(D),-k $(D))

.PHONY: test-faults
test-faults: ## A broken application, checkout or container: make ci says why, the loop goes on; F=name for one
	@$(DEVENV) test tests/faults --capture=no --durations=0 $(if $(F),-k $(F))

# --- the measurement

.PHONY: bench-reload
bench-reload: ## How soon a save is served: warmfork beside other development servers
	@$(DEVENV) python -m bench.reload

.PHONY: bench-scale
bench-scale: ## The same with applications of 10 to 3,000 modules: saves, starts, memory; hours, see --help for parts
	@$(DEVENV) python -m bench.scale $(OPTIONS)

.PHONY: bench-libraries
bench-libraries: ## What large libraries cost that an application imports; 15 minutes
	@$(DEVENV) python -m bench.libraries $(OPTIONS)

.PHONY: bench-loop
bench-loop: ## How soon a save is served by every replica and seen in a browser; make down first
	@PYTHONPATH=backend $(DEVENV) python -m bench.loop

.PHONY: bench-edits
bench-edits: ## How soon every replica equals the checkout after random edits, on busy cores; ROUNDS=n; make down first
	@PYTHONPATH=backend $(DEVENV) python -m bench.edits --busy $(if $(ROUNDS),--rounds=$(ROUNDS))

.PHONY: bench-dashboard
bench-dashboard: ## How smooth the dashboard's log stays
	@$(DEVENV) python -m bench.dashboard

# --- without Kubernetes

.PHONY: dev
dev: ## The application without containers, at localhost:8080; PORT=n moves it
	@PORT=$(PORT) $(DEVENV) dev

.PHONY: compose
compose: ## The application in Docker Compose, at localhost:8080; PORT=n moves it
	@PORT=$(PORT) $(DEVENV) compose

.PHONY: compose-env
compose-env: ## Write docker/.env, for running docker compose by hand
	@$(DEVENV) compose-env

# --- the machine

.PHONY: doctor
doctor: ## What is there, what is missing, versions, disk
	@$(DEVENV) doctor

.PHONY: env
env: ## Print what puts the tools on a shell's PATH: eval "$$(make env)"
	@$(DEVENV) env

.PHONY: credentials
credentials: ## Write the database's passwords for kustomize
	@$(DEVENV) credentials

.PHONY: lock
lock: ## Resolve the Python requirements anew
	@$(LOCK) backend/pyproject.toml --output-file backend/requirements.txt
	@$(LOCK) backend/pyproject.toml --group dev --constraint backend/requirements.txt --output-file requirements-dev.txt
	@$(LOCK) --group bench --constraint backend/requirements.txt --output-file bench/requirements.txt
	@$(LOCK) --group warmfork/pyproject.toml:frameworks --constraint requirements-dev.txt --output-file warmfork/tests/frameworks.txt
