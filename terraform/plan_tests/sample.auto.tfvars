# What every test starts from; each says what it has of its own. All variables are here, so that no terraform.tfvars counts.
alerts           = null
bootstrap        = false
build            = null
card_url         = null
config_ownership = "terraform"
engines = {
  financial = { service = "financial-engine" }
  trading   = { service = "trading-engine" }
  news      = { service = "news-engine" }
  qa        = { service = "qa-engine" }
}
deletion_protection = true
force_destroy       = false
image               = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
job                 = {}
labels              = {}
maintainers         = []
name                = "batch-orchestrator"
network             = null
notify              = null
operators           = ["group:cards@example.com"]
project_id          = "my-project"
region              = "asia-east1"
runs_retention_days = 90
schedule            = { cron = "30 6 * * 1-5", time_zone = "Asia/Shanghai" }
viewers             = []
