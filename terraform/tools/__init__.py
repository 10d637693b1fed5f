"""The tools beside the Terraform root: what a merge may apply, and the config in the bucket beside the repository's."""
