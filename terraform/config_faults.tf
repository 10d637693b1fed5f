locals {
  config_faults = []
}
