"""The real Terraform finds the root formatted and valid, and its own tests pass; a mistake in the root is found."""

import re
from pathlib import Path

import pytest

from tests.deploy.terraform import cut, provider
from tests.deploy.terraform.command import EMBEDDED, ROOT, TESTS, Terraform
from tests.deploy.terraform.sample import LITTLE


def test_it_is_formatted(terraform: Terraform) -> None:
    assert terraform.ask(ROOT, "fmt", "-check", "-recursive", "-diff") == ""


def test_it_is_valid(terraform: Terraform, root: Path) -> None:
    assert terraform.ask(root, "validate", "-no-color").startswith("Success! The configuration is valid")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_own_tests_pass(terraform: Terraform, root: Path) -> None:
    done = terraform.test(root)
    written = sum(len(re.findall('^run "', path.read_text(), re.MULTILINE)) for path in (ROOT / TESTS).glob("*.hcl"))
    assert f"Success! {written} passed, 0 failed." in done.stdout, done.stdout + done.stderr


def test_no_command_reads_its_own_tests_unasked() -> None:
    """OpenTofu would refuse the root for them."""
    assert list((ROOT / TESTS).glob("*.tftest.hcl"))
    assert [*ROOT.glob("*.tftest.hcl"), *(ROOT / "tests").glob("*.tftest.hcl")] == []


def test_every_validation_is_refused_in_a_test() -> None:
    """At least as many tests refuse a variable as it has validations; those of a workspace are in test_environments."""
    refusals = (ROOT / TESTS / "refusals.tftest.hcl").read_text()
    variables = re.findall(
        r'^variable "(\w+)" \{\n(.*?)^\}', (ROOT / "variables.tf").read_text(), re.MULTILINE | re.DOTALL
    )
    for name, body in variables:
        validations = body.count("  validation {") - body.count('terraform.workspace == "default"')
        assert len(re.findall(rf"expect_failures = \[.*\bvar\.{name}\b", refusals)) >= validations, name


@pytest.mark.parametrize(
    ("file", "right", "wrong", "complaint"),
    [
        pytest.param("job.tf", "max_retries           =", "max_retry =", "Unsupported argument", id="misspelt"),
        pytest.param("job.tf", "containers {", "container {", "Unsupported block type", id="misspelt block"),
        pytest.param(
            "schedule.tf",
            "paused           = var.schedule.paused",
            "paused = []",
            "Incorrect attribute value type",
            id="type",
        ),
        pytest.param(
            "runs.tf",
            "    condition {\n      age = var.runs_retention_days\n    }\n",
            "",
            "Insufficient condition blocks",
            id="missing block",
        ),
        pytest.param(
            "runs.tf",
            "uniform_bucket_level_access = true",
            'id = "x"\nkind = "y"',
            "Unsupported argument",
            id="no such",
        ),
        pytest.param("engines.tf", "job.member", "job.members", "Unsupported attribute", id="no such answer"),
        pytest.param(
            "runs.tf", "  location                    = var.region\n", "", "Missing required argument", id="missing"
        ),
    ],
)
def test_an_attribute_or_value_that_the_provider_does_not_know_fails(
    terraform: Terraform, own_root: Path, file: str, right: str, wrong: str, complaint: str
) -> None:
    text = (own_root / file).read_text()
    assert right in text
    (own_root / file).write_text(text.replace(right, wrong, 1))
    done = terraform.run(own_root, "validate", "-no-color")
    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr


def test_a_wrong_expectation_in_terraforms_own_tests_fails(terraform: Terraform, own_root: Path) -> None:
    pins = own_root / TESTS / "job.tftest.hcl"
    pins.write_text(pins.read_text().replace('"today"', '"tomorrow"'))
    done = terraform.test(own_root, f"-filter={TESTS}/job.tftest.hcl")
    assert done.returncode == 1
    assert "The job's environment is another." in done.stdout + done.stderr


@pytest.mark.slow
def test_without_an_installed_terraform(terraform: Terraform, tmp_path: Path) -> None:
    """All of this works with the Terraform that comes as a library, too."""
    embedded = Terraform(EMBEDDED, terraform.providers, tmp_path)
    root = embedded.copy(tmp_path / "root")
    embedded.ask(root, "fmt", "-check", "-recursive")
    embedded.ask(root, "validate", "-no-color")
    assert "Success! 2 passed" in embedded.test(root, f"-filter={TESTS}/bootstrap.tftest.hcl").stdout
    assert embedded.plan(root, LITTLE)["format_version"].startswith("1.")


def test_terraform_warns_of_a_config_that_every_job_would_refuse(terraform: Terraform, own_root: Path) -> None:
    """It is only a warning, as a rollback has to be possible."""
    (own_root / "config" / "ticker_list.json").write_text('["AAPL",]')
    (own_root / "config" / "card_types.json").rename(own_root / "config" / "card_type.json")
    terraform.variables(own_root, LITTLE)
    said = re.sub(r"[\s│]+", " ", terraform.ask(own_root, "plan", "-no-color"))  # without line breaks and frame
    assert (
        "config/ticker_list.json is not JSON; correct it. config/card_types.json does not exist; the job needs it. "
        "config/card_type.json is no object that the job reads; correct its name or remove it."
    ) in said


def test_the_example_is_enough_for_a_plan(terraform: Terraform, own_root: Path) -> None:
    (own_root / "terraform.tfvars").write_text((ROOT / "terraform.tfvars.example").read_text())
    assert terraform.plan(own_root, {"bootstrap": True})["complete"]


def test_the_schema_is_that_of_what_the_root_uses() -> None:
    """cut.py says how to update the schema."""
    resources, data_sources, arguments = cut.used()
    assert set(provider.SCHEMA["resources"]) == resources
    assert set(provider.SCHEMA["data_sources"]) == data_sources
    assert set(provider.SCHEMA["provider"]["block"]["attributes"]) == arguments
