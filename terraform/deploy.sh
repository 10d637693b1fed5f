#!/usr/bin/env bash
# Sets the image of jobs, and says what it has set: PROJECT=… REGION=… terraform/deploy.sh IMAGE@sha256:… JOB…
# `make deploy` and merges (cloudbuild.yaml) run it. With an empty IMAGE, as `make apply` does, jobs that were made just now
# get the image of another one. A run that is at work keeps its image.
set -euo pipefail
image=$1
shift
where=(--project="$PROJECT" --region="$REGION")

image_of() {
  gcloud run jobs describe "$1" "${where[@]}" --format='value(spec.template.spec.template.spec.containers[0].image)'
}

before=
if [ -n "$image" ]; then
  before=$(image_of "$1")
else
  new=()
  for job; do
    case $(image_of "$job") in
      us-docker.pkg.dev/cloudrun/container/job*) new+=("$job") ;; # as Terraform makes it (job.tf)
      *) image=$(image_of "$job") ;;
    esac
  done
  [ ${#new[@]} -gt 0 ] || exit 0
  [ -n "$image" ] || { echo "No image is deployed yet, so no start can succeed: run make deploy."; exit 0; }
  set -- "${new[@]}"
fi

for job; do
  gcloud run jobs update "$job" "${where[@]}" --image="$image"
done
echo "Deployed in $*: $image"
case $before in
  "$image") ;;
  *@sha256:*) echo "To go back to the image before: make deploy IMAGE=${before#*@}" ;;
esac
