#!/usr/bin/env bash
# Deploys an image in the jobs. `make deploy`, `make apply` and merges (cloudbuild.yaml) run it:
#
#   deploy.sh deploy [sha256:…]   pushes the image of this checkout, or that earlier one, and sets it
#   deploy.sh push FILE           builds and pushes the image, and writes its name with its digest into FILE
#   deploy.sh set IMAGE           sets this image in the jobs, and says how to go back
#   deploy.sh set-new             sets in jobs that were made just now the image that another one has
#
# What it deploys to are Terraform's outputs, unless IMAGE_NAME and JOB_NAMES are set. A run that is at work keeps its image.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "$1" >&2
  exit 2
}

output() {
  "${TERRAFORM:-terraform}" -chdir=terraform output -raw "$1"
}

pushed=
# Pushes an image with Docker, or in Cloud Build where there is none, and puts its name with its digest into `pushed`.
# Cloud Run runs only amd64. No tag is deployed: it could name another image by the next start. But what has the tag `deployed`
# is never cleaned up (registry.tf); pushing moves it, where `gcloud artifacts docker tags add` would need a right to delete.
push() {
  local commit digest=${1:-} files found script tags tag version
  if [ -n "$digest" ]; then
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "IMAGE=$1: is not the digest of an image; write sha256: and its 64 digits."
    files=--no-source
    tags=$image:deployed
    script="docker pull $image@$digest && docker tag $image@$digest $image:deployed"
  else
    commit=${COMMIT:-$(git describe --always --dirty --abbrev=40 --exclude='*')}
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' job/__init__.py)
    files=.
    tags="$image:$commit $image:latest $image:deployed"
    script="docker build --tag=${tags// / --tag=} --build-arg=VERSION=$version --build-arg=COMMIT=$commit ."
  fi
  if docker info >/dev/null 2>&1; then
    DOCKER_DEFAULT_PLATFORM=linux/amd64 bash -ec "$script"
    for tag in $tags; do docker push "$tag"; done
    found=$(docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "${tags%% *}")
  else
    printf '{"steps": [{"name": "gcr.io/cloud-builders/docker", "script": "%s"}], "images": ["%s"]}' "$script" "${tags// /\", \"}" |
      gcloud builds submit "${where[@]}" --config=/dev/stdin "$files"
    found=$(gcloud artifacts docker images describe "${tags%% *}" --format='value(image_summary.fully_qualified_digest)')
  fi
  [ -z "$digest" ] || found=$image@$digest
  pushed=$(grep -Ex "$image@sha256:[0-9a-f]{64}" <<<"$found")
}

image_of() {
  gcloud run jobs describe "$1" "${where[@]}" --format='value(spec.template.spec.template.spec.containers[0].image)'
}

# Sets an image in jobs: set_in IMAGE JOB…
set_in() {
  local to=$1 job
  shift
  for job; do
    gcloud run jobs update "$job" "${where[@]}" --image="$to"
  done
  echo "Deployed in $*: $to"
}

set_in_all() {
  local before
  before=$(image_of "${jobs%% *}")
  # shellcheck disable=SC2086  # the names of several
  set_in "$1" $jobs
  case $before in
    "$1") ;;
    *@sha256:*) echo "To go back to the image before: make deploy IMAGE=${before#*@}" ;;
  esac
}

set_in_new() {
  command -v gcloud >/dev/null || return 0
  local found deployed='' new='' job
  for job in $jobs; do
    found=$(image_of "$job")
    case $found in
      us-docker.pkg.dev/cloudrun/container/job*) new="$new $job" ;; # as Terraform makes it (job.tf)
      *) deployed=$found ;;
    esac
  done
  if [ -z "$new" ]; then
    return
  elif [ -z "$deployed" ]; then
    echo "No image is deployed yet, so no start can succeed: run make deploy."
  else
    # shellcheck disable=SC2086  # the names of several
    set_in "$deployed" $new
  fi
}

image=${IMAGE_NAME:-$(output image)} && jobs=${JOB_NAMES:-$(output jobs)} && [[ $image == *-docker.pkg.dev/* ]] ||
  fail 'There is no job yet to deploy to: run make apply first.'
where=("--project=$(cut -d / -f 2 <<<"$image")" "--region=${image%%-docker.pkg.dev/*}")

case $1 in
  deploy)
    push "${2##*@}"
    set_in_all "$pushed"
    ;;
  push)
    push
    echo "$pushed" >"$2"
    ;;
  set) set_in_all "$2" ;;
  set-new) set_in_new ;;
esac
