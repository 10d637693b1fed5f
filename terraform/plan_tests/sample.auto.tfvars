# What every test starts from; each says what it has of its own. All variables are here, so that no terraform.tfvars counts.
alerts   = null
build    = null
card_url = null
engines = {
  financial = { service = "financial-engine" }
  trading   = { service = "trading-engine" }
  news      = { service = "news-engine" }
  qa        = { service = "qa-engine" }
}
force_destroy       = false
job                 = {}
labels              = {}
language            = "en"
name                = "batch-orchestrator"
network             = null
notify              = { secret = "cards-hook" }
people              = {}
project_id          = "my-project"
region              = "asia-east1"
runs_retention_days = 90
schedule            = { cron = "30 6 * * 1-5", time_zone = "Asia/Shanghai" }
