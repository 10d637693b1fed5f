"""Terraform without a cloud: the real Terraform, with a stand-in for the google provider."""
