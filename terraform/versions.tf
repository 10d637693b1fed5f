terraform {
  required_version = ">= 1.11" # the tests mock computed values while planning

  required_providers {
    terraform = {
      source = "terraform.io/builtin/terraform"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 7.45, < 9"
    }
  }

  # `make init` names the bucket and the prefix.
  backend "gcs" {}
}

provider "google" {
  project = var.project_id
  region  = var.region
}
